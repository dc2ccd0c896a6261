"""The hosts of the account APIs and what stands for each on a backend of one origin (docs/clients.md).

Two hosts give the same address different meanings: `DELETE /users/current/accounts/{id}` deletes a trading account on
the one and forgets its statistics on the other. So whoever speaks to an address without these names puts the name of
the host in front of the path: `https://backend/metastats-api-v1/users/current/accounts/{id}`.
"""

from __future__ import annotations

PROVISIONING = "mt-provisioning-api-v1"
TERMINAL = "mt-client-api-v1"
METASTATS = "metastats-api-v1"
RISK_MANAGEMENT = "risk-management-api-v1"
PROFILE = "profile-api-v1"
COPYFACTORY = "copyfactory-api-v1"

ACCOUNT_HOSTS = (PROVISIONING, TERMINAL, METASTATS, RISK_MANAGEMENT, PROFILE)
WITHOUT_REGION = (PROVISIONING, PROFILE)  # {host}.{domain}; the others are {host}.{region}.{domain}

LOCAL_REGION = "local"


def names_under(domain: str) -> list[str]:
    """The host names that clients build of a domain where the embedded backend serves it."""
    hosts = (*ACCOUNT_HOSTS, COPYFACTORY)
    return [f"{host}.{domain}" if host in WITHOUT_REGION else f"{host}.{LOCAL_REGION}.{domain}" for host in hosts]


def prefix_of(host: str) -> str:
    """What is put in front of paths of a host where one origin stands for all: "/metastats-api-v1"."""
    return f"/{host}"

"""Addresses of members, invitations and who sees an account."""

from django.urls import path

from subscribers import client_file_views, join_views, people_views

app_name = "people"
urlpatterns = [
    path("settings/members/", people_views.member_list, name="members"),
    path("settings/members/invite/", people_views.invite, name="invite"),
    path("settings/members/invite/clients/", client_file_views.invite_clients_page, name="invite-clients"),
    path("settings/members/<int:pk>/", people_views.member, name="member"),
    path("settings/members/<int:pk>/role/", people_views.change_role, name="change-role"),
    path("settings/members/<int:pk>/accounts/", people_views.change_accounts, name="change-accounts"),
    path("settings/members/<int:pk>/remove/", people_views.remove, name="remove"),
    path("settings/members/<int:pk>/deactivate/", people_views.deactivate, name="deactivate"),
    path("settings/members/<int:pk>/activate/", people_views.activate, name="activate"),
    path("settings/members/<int:pk>/second-factor/", people_views.reset_factor, name="reset-factor"),
    path("settings/members/<int:pk>/transfer/", people_views.transfer, name="transfer"),
    path("settings/members/invitations/<int:pk>/renew/", people_views.renew, name="renew-invitation"),
    path("settings/members/invitations/<int:pk>/revoke/", people_views.revoke, name="revoke-invitation"),
    path("leave/", people_views.leave, name="leave"),
    path("subscribers/<int:pk>/access/", people_views.account_access, name="access"),
    path("subscribers/<int:pk>/access/link/", people_views.link, name="link"),
    path("subscribers/<int:pk>/access/<int:membership_pk>/unlink/", people_views.unlink, name="unlink"),
    path("invitation/", join_views.join, name="join"),
    path("invitation/<str:token>/", join_views.open_link, name="invitation"),
]

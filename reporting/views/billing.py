"""What stands on documents: the firm's billing identity in Settings, and the record of a client."""

from __future__ import annotations

from django.contrib import messages
from django.db import transaction
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from reporting.billing_forms import BillingIdentityForm, ClientRecordForm
from reporting.bookkeeping_forms import BookkeepingForm
from reporting.models import BillingIdentity, ClientRecord
from subscribers.pages import page_of, visible_subscriber
from users.confirming import confirmed
from users.permissions import can_bill, may_bill, staff_only
from users.requests import MemberRequest
from users.services import record_audit


@require_http_methods(["GET", "HEAD", "POST"])
@staff_only
def billing(request: MemberRequest) -> HttpResponseBase:
    """Name, address, numbers, tax and minimum of the firm; whoever bills may change them."""
    if request.method == "POST":
        return save_billing(request)
    form = BillingIdentityForm(instance=BillingIdentity.of(request.workspace))
    return render(request, "reporting/billing.html", {"form": form, "may_bill": can_bill(request.membership)})


@may_bill
@confirmed
def save_billing(request: MemberRequest) -> HttpResponse:
    """Store the form, or show what is wrong with it."""
    form = BillingIdentityForm(request.POST, instance=BillingIdentity.of(request.workspace))
    if not form.is_valid():
        return render(request, "reporting/billing.html", {"form": form, "may_bill": True}, status=422)
    store_settings(request, form, action="billing changed", subject=form.instance.name)
    messages.success(request, "Saved. Documents that are issued keep what they have.")
    return redirect("reporting:billing")


def store_settings(
    request: MemberRequest, form: BillingIdentityForm | BookkeepingForm, *, action: str, subject: str = ""
) -> None:
    """Save a valid form of the firm's settings, with who did it and which fields. subject: empty, the workspace."""
    form.instance.changed_at, form.instance.changed_by = timezone.now(), request.user
    with transaction.atomic():
        form.save()
        record_audit(
            request.workspace,
            user=request.user,
            action=action,
            subject=subject or request.workspace.name,
            details={"changed": sorted(form.changed_data)},
        )


@require_http_methods(["GET", "HEAD", "POST"])
@staff_only
def client(request: MemberRequest, pk: int) -> HttpResponseBase:
    """Who stands behind an account: for its documents, and notes of the firm."""
    subscriber = visible_subscriber(request, pk)
    record = ClientRecord.objects.visible_to(request.membership).filter(pk=pk).first()
    record = record or ClientRecord(subscriber=subscriber)
    if request.method == "POST":
        return save_client(request, record)
    return render_client(request, record, ClientRecordForm(instance=record))


def render_client(
    request: MemberRequest, record: ClientRecord, form: ClientRecordForm, status: int = 200
) -> HttpResponse:
    more = {"form": form, "record": record, "may_bill": can_bill(request.membership)}
    context = page_of(request, record.subscriber, "client", **more)
    return render(request, "reporting/client.html", context, status=status)


@may_bill
@confirmed
def save_client(request: MemberRequest, record: ClientRecord) -> HttpResponse:
    """Store the form, or show what is wrong with it."""
    form = ClientRecordForm(request.POST, instance=record)
    if not form.is_valid():
        return render_client(request, record, form, status=422)
    record.changed_at, record.changed_by = timezone.now(), request.user
    with transaction.atomic():
        form.save()
        changed = {"changed": sorted(form.changed_data)}
        subject = record.subscriber.name
        record_audit(request.workspace, user=request.user, action="client changed", subject=subject, details=changed)
    messages.success(request, "Saved. Documents that are issued keep what they have.")
    return redirect("reporting:client", record.subscriber_id)

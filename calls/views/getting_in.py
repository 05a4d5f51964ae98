"""/forgotten/: a link to set a new password, by e-mail."""

from __future__ import annotations

from django import forms
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache

from calls import forgotten as reset
from calls import logins, tasks


class AddressForm(forms.Form):
    email = forms.EmailField(
        label=gettext_lazy("E-mail"),
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )


@never_cache
def forgotten(request: HttpRequest) -> HttpResponse:
    """The answer is the same whoever asks for whomever."""
    form, sent = AddressForm(request.POST or None), False
    if request.method == "POST" and reset.is_open() and form.is_valid():
        email = form.cleaned_data["email"]
        if reset.may_ask(email, logins.address_of(request)):
            tasks.send_reset.delay(email, get_language() or settings.LANGUAGE_CODE)
            sent = True
        else:
            form.add_error(None, _("That was asked for too often: wait an hour, or ask your administrator."))
    return render(request, "account/forgotten.html", {"form": form, "sent": sent, "open": reset.is_open()})

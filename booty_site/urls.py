from __future__ import annotations

from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView

from booty_site import views, webhooks

admin.site.site_header = "Booty"
admin.site.site_title = "Booty"
admin.site.index_title = "Operations"
# The lists need the width.
admin.site.enable_nav_sidebar = False

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("webhooks/github", webhooks.github, name="github-webhook"),
    path("internal/sentry-test", views.sentry_test, name="sentry-test"),
    path("healthz", views.healthz, name="healthz"),
    path("readyz", views.readyz, name="readyz"),
    path("admin/", admin.site.urls),
]

"""The web process. Refuses to start when a system check finds an error."""

from __future__ import annotations

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import SystemCheckError
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "booty_site.settings")

try:
    application = get_wsgi_application()
    from booty_site.checks import refuse_to_start_misconfigured

    refuse_to_start_misconfigured()
except (ImproperlyConfigured, SystemCheckError) as error:
    sys.exit(str(error))

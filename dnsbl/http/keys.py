"""What the handlers find in the application."""

from aiohttp import web

from dnsbl.http.gate import Gate
from dnsbl.http.rate import RateLimiter
from dnsbl.service import Service

SERVICE = web.AppKey("service", Service)
GATE = web.AppKey("gate", Gate)
RATES = web.AppKey("rates", RateLimiter)

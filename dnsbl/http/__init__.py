"""The HTTP side: the API for feeds, ISPs and operators, and the pages for people.

Talks to nothing but :class:`dnsbl.service.Service`; must not know how a verdict is found or a zone answered.
"""

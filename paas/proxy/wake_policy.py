"""Which requests may wake an app and count as use. Pure.

By default browsers' side requests, health checks, crawlers and uptime probes do neither: an app
that wakes for each of them never sleeps. An awake app gets them all.
"""

from enum import StrEnum
from functools import lru_cache

from paas.routes import Rules


class Bystander(StrEnum):
    """A kind of request that nobody waits for; the values name fields of WakePolicy."""

    WELL_KNOWN = "well_known"
    HEALTH = "health"
    CRAWLER = "crawlers"
    PROBE = "probes"


FAVICON, ROBOTS = b"/favicon.ico", b"/robots.txt"

# Parts of User-Agent, lower case. Long enough not to occur in a browser's or in curl's.
CRAWLERS = (
    # search engines
    b"googlebot", b"google-inspectiontool", b"googleother", b"adsbot-google", b"mediapartners-google",
    b"storebot-google", b"bingbot", b"bingpreview", b"adidxbot", b"yandexbot", b"yandeximages",
    b"yandex.com/bots", b"baiduspider", b"duckduckbot", b"duckassistbot", b"applebot", b"yahoo! slurp",
    b"sogou web spider", b"petalbot", b"seznambot", b"qwantbot", b"qwantify", b"naver.me/spd", b"yeti/1",
    b"exabot", b"mojeekbot", b"coccocbot", b"360spider", b"bytespider", b"ia_archiver", b"archive.org_bot",
    # collectors of training text
    b"gptbot", b"oai-searchbot", b"chatgpt-user", b"claudebot", b"claude-web", b"claude-user",
    b"anthropic-ai", b"perplexitybot", b"ccbot/", b"google-extended", b"meta-externalagent", b"amazonbot",
    b"cohere-ai", b"diffbot", b"imagesiftbot", b"omgili", b"timpibot", b"youbot",
    # link previews
    b"facebookexternalhit", b"facebot", b"twitterbot", b"linkedinbot", b"slackbot", b"slack-imgproxy",
    b"discordbot", b"telegrambot", b"whatsapp/", b"skypeuripreview", b"pinterestbot", b"redditbot",
    b"embedly", b"mastodon/", b"iframely", b"vkshare", b"viber/", b"zoombot", b"tumblr/14",
    b"bluesky cardyb",
    # search engine analysis, scanners
    b"ahrefsbot", b"ahrefssiteaudit", b"semrushbot", b"mj12bot", b"dotbot/", b"rogerbot", b"dataforseobot",
    b"blexbot", b"serpstatbot", b"screaming frog", b"barkrowler", b"siteauditbot", b"censysinspect",
    b"internetmeasurement", b"expanse, a palo alto", b"zgrab/", b"masscan/", b"nuclei - ", b"shodan",
    b"netcraftsurveyagent", b"leakix", b"l9explore",
)  # fmt: skip
PROBES = (
    b"uptimerobot", b"pingdom", b"kube-probe/", b"uptime-kuma", b"statuscake", b"site24x7",
    b"better uptime bot", b"betterstack", b"betteruptime", b"hetrixtools", b"updown.io", b"freshping",
    b"datadog/synthetics", b"datadogsynthetics", b"newrelicpinger", b"newrelic synthetics", b"nodeping",
    b"uptime.com", b"uptimebot", b"uptimia", b"cronitor", b"checkly", b"gatus/", b"blackbox exporter",
    b"blackbox-exporter", b"googlehc/", b"googlestackdrivermonitoring", b"elb-healthchecker",
    b"amazon-route53-health-check", b"cloudflare-healthchecks", b"cloudflare-traffic-manager",
    b"consul health check", b"oh dear", b"montastic", b"monitis", b"site uptime", b"upptime",
    b"healthchecks.io", b"catchpoint", b"dotcom-monitor", b"monitoring-plugins", b"check_http/", b"zabbix",
    b"prtg network monitor", b"appsignalbot", b"sentryuptimebot", b"haproxy-healthcheck",
)  # fmt: skip
_LONGEST_AGENT = 512


def bystander(rules: Rules, method: bytes, target: bytes, user_agent: bytes) -> Bystander | None:
    """Say which kind of request this is, if it is one that the app's policy keeps from waking it."""
    policy = rules.wake_policy
    if method in _READS:
        if not policy.well_known and target.startswith(_WELL_KNOWN) and _path(target) in _WELL_KNOWN:
            return Bystander.WELL_KNOWN
        health_path = rules.health_path
        if health_path is not None and not policy.health and _path(target) == health_path.encode():
            return Bystander.HEALTH
    kind = _kind_of(user_agent[:_LONGEST_AGENT])
    if kind is Bystander.CRAWLER and policy.crawlers:
        return None
    if kind is Bystander.PROBE and policy.probes:
        return None
    return kind


_READS = frozenset({b"GET", b"HEAD"})
_WELL_KNOWN = (FAVICON, ROBOTS)


def _path(target: bytes) -> bytes:
    return target.partition(b"?")[0]


@lru_cache(maxsize=2048)
def _kind_of(user_agent: bytes) -> Bystander | None:
    lower = user_agent.lower()
    if any(mark in lower for mark in PROBES):
        return Bystander.PROBE
    if any(mark in lower for mark in CRAWLERS):
        return Bystander.CRAWLER
    return None

"""How apps are reached from outside."""

from paas.core.records import dataclass

HTTP_PORT, HTTPS_PORT = 80, 443


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicUrls:
    scheme: str
    domain: str
    port: int

    def of(self, host: str) -> str:
        usual = HTTPS_PORT if self.scheme == "https" else HTTP_PORT
        return f"{self.scheme}://{host}" + ("" if self.port == usual else f":{self.port}")

    def tcp_address(self, host: str, port: int) -> str:
        """Say where a port of the proxy's is: below localhost few programs find names."""
        is_local = self.domain == "localhost" or self.domain.endswith(".localhost")
        return f"{'localhost' if is_local else host}:{port}"

"""`executor.guard` as a user would write it: nobody runs this, type checkers read it."""

from typing_extensions import assert_type

from limitpal import AsyncResilientExecutor, ResilientExecutor

executor = ResilientExecutor()
async_executor = AsyncResilientExecutor()


@executor.guard("prices")
def price(item: int, currency: str = "EUR") -> float:
    """A plain function."""
    return item * 1.5 + len(currency)


def key_of_page(user: str, page: int) -> str:
    """A key function."""
    return f"user:{user}/{page}"


@executor.guard(key=key_of_page)
def fetch(user: str, page: int) -> bytes:
    """A plain function whose key is one of its arguments."""
    return f"{user} {page}".encode()


@async_executor.guard(7)
async def fetch_async(user: str) -> bytes:
    """A coroutine function."""
    return user.encode()


@async_executor.guard("prices")
def price_async(item: int) -> float:
    """A plain function, which an async executor makes a coroutine function."""
    return item * 1.5


def key_of_host(client: "Client", path: str) -> str:
    """The key function of a method."""
    return client.host + path


class Client:
    """A client whose methods are guarded."""

    host = "example.com"

    @executor.guard(key=key_of_host)
    def get(self, path: str) -> bytes:
        """A method."""
        return path.encode()

    @async_executor.guard("host")
    async def get_async(self, path: str) -> bytes:
        """A coroutine method."""
        return path.encode()

    @classmethod
    @executor.guard("made")
    def make(cls, host: str) -> str:
        """A class method."""
        return host

    @staticmethod
    @executor.guard("parsed")
    def parse(text: str) -> int:
        """A static method."""
        return int(text)


def sync_calls(client: Client) -> None:
    assert_type(price(3), float)
    assert_type(price(3, currency="USD"), float)
    assert_type(fetch("ann", page=2), bytes)
    assert_type(client.get("/"), bytes)
    assert_type(Client.get(client, "/"), bytes)
    assert_type(Client.make("example.com"), str)
    assert_type(Client.parse("7"), int)
    price("3")  # type: ignore[arg-type]
    price(3, coin="USD")  # type: ignore[call-arg]
    client.get(7)  # type: ignore[arg-type]
    executor.guard(1.5)  # type: ignore[arg-type]
    executor.guard(key=price)  # type: ignore[arg-type]


async def async_calls(client: Client) -> None:
    assert_type(await fetch_async("ann"), bytes)
    assert_type(await price_async(3), float)
    assert_type(await client.get_async("/"), bytes)
    await fetch_async(7)  # type: ignore[arg-type]

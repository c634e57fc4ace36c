"""Files that are a little wrong, made by a seeded generator of random numbers."""

import copy
import json
from random import Random
from typing import Any

ODD_BYTES = (
    b"\0",
    b"\xff" * 4,
    b"\x7f\xff\xff\xff",
    b"\n",
    b"\x1b]0;t\x07",
    b"PK\3\4",
    b"\x1f\x8b\x08",
    b"{",
    b"]" * 9,
)
ODD_VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    2**31,
    2**63,
    10**40,
    1e308,
    -0.0,
    "",
    "x",
    "../../outside/secret",
    "/etc/passwd",
    "a' or '1'='1",
    "\x1b[31m\nanelab: forged",
    "\ud800",
    "x" * 3000,
    [],
    {},
    [[]],
    {"a": {"b": [1]}},
    "9999-12-31T23:59:59-14:00",
)


def odd_bytes(random: Random, data: bytes, most: int = 4) -> bytes:
    """With some bytes changed, put in, taken out, repeated, or cut off."""
    changed = bytearray(data)
    for _ in range(random.randint(1, most)):
        place = random.randrange(len(changed) + 1)
        length = random.choice((1, 1, 2, 8, 64, len(changed) // 3))
        kind = random.randrange(6)
        if kind == 0 and changed:
            changed[place % len(changed)] ^= 1 << random.randrange(8)
        elif kind == 1:
            changed[place : place + 1] = bytes([random.randrange(256)])
        elif kind == 2:
            changed[place:place] = random.choice(ODD_BYTES)
        elif kind == 3:
            del changed[place : place + length]
        elif kind == 4:
            changed[place:place] = changed[place : place + length]
        else:
            odd = random.choice(ODD_BYTES)
            changed[place : place + len(odd)] = odd
    return bytes(changed)


def odd_json(random: Random, value: Any) -> Any:
    """A copy with one to three of its values replaced, renamed, taken out or repeated."""
    changed = copy.deepcopy(value)
    for _ in range(random.randint(1, 3)):
        places = [one for one in _containers(changed) if one]
        if not places:
            break
        place = random.choice(places)
        key = random.choice(list(place)) if isinstance(place, dict) else random.randrange(len(place))
        kind = random.randrange(6)
        if kind < 3:
            place[key] = copy.deepcopy(random.choice(ODD_VALUES))
        elif kind == 3:
            del place[key]
        elif kind == 4 and isinstance(place, dict):
            place[random.choice(("", "x", "../x", "sha256", "a'b"))] = place.pop(key)
        else:
            place[key] = copy.deepcopy(random.choice(places))
    return changed


def json_bytes(random: Random, value: Any, changed: bool = False) -> bytes:
    """A value, changed unless it is already, as JSON; now and then as one that no writer of ours makes."""
    text = json.dumps(value if changed else odd_json(random, value))
    if random.random() < 0.08:
        text = random.choice(
            ("NaN", "[" * 5000, "{" * 100, '"' + "a" * 200_000 + '"', text.replace(":", ": NaN,", 1), "")
        )
    return text.encode("utf-8", "surrogatepass")


def _containers(value: Any) -> list[Any]:
    found, waiting = [], [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict | list):
            found.append(one)
            waiting += one.values() if isinstance(one, dict) else one
    return found


def odd_text(random: Random, text: str) -> str:
    """Lines of text, or parts of them, changed."""
    lines = text.split("\n")
    for _ in range(random.randint(1, 3)):
        place = random.randrange(len(lines))
        kind = random.randrange(6)
        if kind == 0:
            del lines[place]
            lines = lines or [""]
        elif kind == 1:
            lines.insert(place, random.choice(lines))
        elif kind == 2:
            words = lines[place].split(" ")
            words[random.randrange(len(words))] = str(
                random.choice((*ODD_VALUES, "[", "&a [*a]", "*a", "1e999", ".nan"))
            )
            lines[place] = " ".join(words)
        elif kind == 3:
            lines[place] = " " * random.randrange(9) + lines[place].strip()
        elif kind == 4:
            cut = random.randrange(len(lines[place]) + 1)
            lines[place] = lines[place][:cut]
        else:
            lines[place] = lines[place].replace(":", random.choice((": ", ":\t", "", ": !!binary ", ": &x ")), 1)
    return "\n".join(lines)

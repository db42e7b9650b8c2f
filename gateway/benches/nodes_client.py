"""The client of nodes.sh. GATEWAYS and TOKENS are written with commas between the addresses, one token on a line.

    nodes_client.py logins SIMULATOR APPID GATEWAYS COUNT CONNECTIONS    tokens on stdout, the rate on stderr
    nodes_client.py revocations GATEWAYS TOKENS      logs out on the first gateway, and asks the others until they refuse
    nodes_client.py revoke GATEWAYS TOKENS           logs out, again and again until each logout is for good
    nodes_client.py load GATEWAYS TOKENS UNTIL       asks all gateways until the file UNTIL is there; counts the answers
    nodes_client.py expect GATEWAYS TOKENS STATUS    asks every gateway once with every token

Standard library only: python3 of any Linux will do.
"""

import collections
import itertools
import json
import os
import socket
import sys
import threading
import time


class Connection:
    """One kept-alive connection, opened again if it was closed while it was idle."""

    def __init__(self, address):
        self.address, self.socket = address, None

    def ask(self, method, path, headers="", body=b""):
        """The status and the body of an answer."""
        head = f"{method} {path} HTTP/1.1\r\nHost: bench\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
        if self.socket is None:
            host, port = self.address.rsplit(":", 1)
            self.socket = socket.create_connection((host, int(port)), timeout=30)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(head.encode() + body)
        try:
            return self.answer()
        except (OSError, ValueError):
            self.socket.close()
            self.socket = None
            raise

    def answer(self):
        received = b""
        while b"\r\n\r\n" not in received:
            received += self.more()
        head, body = received.split(b"\r\n\r\n", 1)
        lines = head.lower().split(b"\r\n")
        length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
        while len(body) < length:
            body += self.more()
        return int(head[9:12]), body

    def more(self):
        piece = self.socket.recv(65536)
        if not piece:
            raise ValueError("the connection was closed")
        return piece


def bearer(token):
    return f"Authorization: Bearer {token}\r\n"


def read(tokens):
    with open(tokens) as lines:
        return lines.read().split()


def in_threads(count, work):
    threads = [threading.Thread(target=work, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


PIECE = 2000
JSON = "Content-Type: application/json\r\n"


def logins(simulator, appid, gateways, count, connections):
    """Codes are made first, a piece at a time, so that only the logins are timed."""
    gateways, count, connections = gateways.split(","), int(count), int(connections)
    makers = [Connection(simulator) for _ in range(connections)]
    users = [Connection(gateways[n % len(gateways)]) for n in range(connections)]
    spent, failed = 0.0, collections.Counter()
    for start in range(0, count, PIECE):
        numbers = range(start, min(start + PIECE, count))
        codes, tokens = {}, {}

        def make(n):
            for number in numbers[n::connections]:
                body = json.dumps({"appid": appid, "user": f"user-{number}"}).encode()
                codes[number] = json.loads(makers[n].ask("POST", "/_sim/codes", JSON, body)[1])["code"]

        def log_in(n):
            for number in numbers[n::connections]:
                body = json.dumps({"appid": appid, "code": codes[number]}).encode()
                status, answer = users[n].ask("POST", "/login", JSON, body)
                if status == 200:
                    tokens[number] = json.loads(answer)["token"]
                else:
                    failed[answer] += 1

        in_threads(connections, make)
        began = time.monotonic()
        in_threads(connections, log_in)
        spent += time.monotonic() - began
        print("\n".join(tokens.values()))
    made = count - sum(failed.values())
    print(f"{made} sessions, {made / spent:.0f} logins per second; failed: {dict(failed) or 0}", file=sys.stderr)


def shown(times):
    times = sorted(times)
    at = [times[len(times) // 2], times[min(len(times) - 1, len(times) * 99 // 100)], times[-1]]
    return " / ".join(f"{1000 * seconds:.1f}" for seconds in at)


def revocations(gateways, tokens):
    """The time of the first refusal, counted from the sending of the logout and from its answer."""
    here, *others = gateways.split(",")
    connection, watchers = Connection(here), [Connection(address) for address in others]
    from_asked, from_answered, let_in_again = [], [], 0
    for token in read(tokens):
        for watcher in watchers:
            for _ in range(2):
                expect_one(watcher, token, 200)
        refused, begin = [0.0] * len(watchers), threading.Barrier(len(watchers) + 1)

        def watch(n):
            begin.wait()
            while watchers[n].ask("GET", "/required/x", bearer(token))[0] != 401:
                pass
            refused[n] = time.monotonic()

        threads = [threading.Thread(target=watch, args=(n,)) for n in range(len(watchers))]
        for thread in threads:
            thread.start()
        begin.wait()
        asked = time.monotonic()
        status, answer = connection.ask("POST", "/logout", bearer(token))
        answered = time.monotonic()
        if status != 204:
            sys.exit(f"a logout failed: {answer}")
        for thread in threads:
            thread.join()
        from_asked += [at - asked for at in refused]
        from_answered += [max(0.0, at - answered) for at in refused]
        for watcher in watchers:
            let_in_again += watcher.ask("GET", "/required/x", bearer(token))[0] == 200
    print(f"refused on the other nodes, p50 / p99 / longest of {len(from_asked)}, in ms:")
    print(f"    after the logout was sent      {shown(from_asked)}")
    print(f"    after the logout was answered  {shown(from_answered)}")
    print(f"    let in again afterwards        {let_in_again}")


def expect_one(connection, token, status):
    got, answer = connection.ask("GET", "/required/x", bearer(token))
    if got != int(status):
        sys.exit(f"{connection.address}: expected {status}, got {got} {answer}")


def revoke(gateways, tokens):
    connections, again, longest = [Connection(address) for address in gateways.split(",")], 0, 0.0
    for token, connection in zip(read(tokens), itertools.cycle(connections)):
        began = time.monotonic()
        while connection.ask("POST", "/logout", bearer(token))[0] != 204:
            again += 1
            time.sleep(0.05)
        longest = max(longest, time.monotonic() - began)
    print(f"logouts: {again} times told to try again, the longest took {longest:.1f} s")


def load(gateways, tokens, until):
    gateways, tokens = gateways.split(","), read(tokens)
    counts, longest = [collections.Counter() for _ in gateways], [0.0] * len(gateways)

    def ask(n):
        connection = Connection(gateways[n])
        for token in itertools.cycle(tokens):
            began = time.monotonic()
            try:
                counts[n][connection.ask("GET", "/required/x", bearer(token))[0]] += 1
            except (OSError, ValueError) as why:
                counts[n][repr(why)] += 1
            longest[n] = max(longest[n], time.monotonic() - began)
            if os.path.exists(until):
                return

    in_threads(len(gateways), ask)
    total = sum(counts, collections.Counter())
    wrong = {status: count for status, count in total.items() if status != 200}
    print(f"{total[200]} requests with 200, others: {wrong or 0}; the longest took {1000 * max(longest):.0f} ms")


def expect(gateways, tokens, status):
    tokens = read(tokens)
    for address in gateways.split(","):
        connection = Connection(address)
        for token in tokens:
            expect_one(connection, token, status)
    print(f"all {len(tokens)} are {status} on every node")


if __name__ == "__main__":
    commands = [logins, revocations, revoke, load, expect]
    {command.__name__: command for command in commands}[sys.argv[1]](*sys.argv[2:])

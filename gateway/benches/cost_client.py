"""The client of cost.sh: a fixed number of requests over kept-alive connections, so that their cost can be counted.

    cost_client.py requests ADDRESS PATH COUNT CONNECTIONS STATUS [TOKENS_FILE]
    cost_client.py idle ADDRESS PATH CONNECTIONS PID     prints the bytes that one idle connection holds

Standard library only: python3 of any Linux will do.
"""

import socket
import sys
import time


def connect(address):
    host, port = address.rsplit(":", 1)
    connection = socket.create_connection((host, int(port)), timeout=60)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def request(path, token=None):
    authorization = f"Authorization: Bearer {token}\r\n" if token else ""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{authorization}\r\n".encode()


def read_answer(connection, status):
    received = b""
    while b"\r\n\r\n" not in received:
        received += more(connection, received)
    head, body = received.split(b"\r\n\r\n", 1)
    if not head.startswith(f"HTTP/1.1 {status} ".encode()):
        sys.exit(f"expected {status}, got {received!r}")
    names = (line.split(b":", 1) for line in head.split(b"\r\n")[1:])
    length = next(int(value) for name, value in names if name.lower() == b"content-length")
    while len(body) < length:
        body += more(connection, body)


def more(connection, so_far):
    received = connection.recv(65536)
    if not received:
        sys.exit(f"the connection ended after {so_far!r}")
    return received


def requests(address, path, count, connections, status, tokens=None):
    """Every connection sends before the first answer is read: work arrives in batches, as it does under load."""
    lines = open(tokens).read().split() if tokens else [None]
    wanted, opened = int(count), [connect(address) for _ in range(int(connections))]
    messages = [request(path, token) for token in lines[: wanted]]
    for start in range(0, wanted, len(opened)):
        batch = opened[: wanted - start]
        for n, connection in enumerate(batch):
            connection.sendall(messages[(start + n) % len(messages)])
        for connection in batch:
            read_answer(connection, status)


def idle(address, path, connections, pid):
    # The first connections fill what is kept for all: pools, allocator pages, lazily built tables.
    opened = [used(address, path) for _ in range(64)]
    before = resident(pid)
    opened += [used(address, path) for _ in range(int(connections))]
    time.sleep(1)
    print((resident(pid) - before) // int(connections))


def used(address, path):
    connection = connect(address)
    connection.sendall(request(path))
    read_answer(connection, 200)
    return connection


def resident(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS"))


if __name__ == "__main__":
    {"requests": requests, "idle": idle}[sys.argv[1]](*sys.argv[2:])

"""The network rows on CPython's asyncio, and on uvloop.

python.py asyncio|uvloop echo|tls transport|streams
python.py asyncio|uvloop subprocess COUNT
"""

import asyncio
import os
import resource
import ssl
import sys
import time

BUFFER_SIZE = 64 * 1024
PROGRAM = "/bin/true"
PROGRAMS_AT_ONCE = 8


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)

    def pause_writing(self):
        self.transport.pause_reading()

    def resume_writing(self):
        self.transport.resume_reading()


async def echo(reader, writer):
    while data := await reader.read(BUFFER_SIZE):
        writer.write(data)
        await writer.drain()
    writer.close()


async def serve(row, level):
    context = None
    if row == "tls":
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(os.environ["BENCH_CERTIFICATE"])
    options = {"backlog": 4096, "ssl": context}
    if level == "streams":
        server = await asyncio.start_server(echo, "127.0.0.1", 0, **options)
    else:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Echo, "127.0.0.1", 0, **options)
    print("port", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def start_programs(count):
    places = asyncio.Semaphore(PROGRAMS_AT_ONCE)

    async def start_one():
        process = await asyncio.create_subprocess_exec(PROGRAM)
        await process.wait()
        places.release()

    tasks = []
    for _ in range(count):
        await places.acquire()
        tasks.append(asyncio.create_task(start_one()))
    await asyncio.gather(*tasks)


def measure_programs(count):
    begun, cpu_before = time.monotonic(), cpu_seconds()
    asyncio.run(start_programs(count))
    print("subprocess_us", (time.monotonic() - begun) * 1e6 / count)
    print("subprocess_cpu_us", (cpu_seconds() - cpu_before) * 1e6 / count)


def main():
    runtime, row, argument = sys.argv[1:]
    version = sys.version.split()[0]
    if runtime == "uvloop":
        import uvloop

        uvloop.install()
        version = uvloop.__version__
    if row == "version":
        print("version", version)
    elif row == "subprocess":
        measure_programs(int(argument))
    else:
        asyncio.run(serve(row, argument))


main()

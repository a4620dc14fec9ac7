"""What benches/process.rs measures, with concurrent.futures. Arguments: the rounds of each line. Prints seconds."""
import asyncio
import sys
import time
from concurrent.futures import ProcessPoolExecutor


def nothing():
    pass


def same(data):
    return data


def median(times):
    return sorted(times)[len(times) // 2]


async def main(rounds):
    loop = asyncio.get_running_loop()

    async def timed(pool, *call):
        begun = time.perf_counter()
        await loop.run_in_executor(pool, *call)
        return time.perf_counter() - begun

    first = []
    for _ in range(rounds[0]):
        with ProcessPoolExecutor(2) as pool:
            first.append(await timed(pool, nothing))
    print(median(first))
    with ProcessPoolExecutor(2) as pool:
        for _ in range(20):
            await timed(pool, nothing)
        print(median([await timed(pool, nothing) for _ in range(rounds[1])]))
        for count, times in ((16, rounds[2]), (1000, rounds[3])):
            own = []
            for _ in range(times):
                begun = time.perf_counter()
                await asyncio.gather(*(loop.run_in_executor(pool, nothing) for _ in range(count)))
                own.append((time.perf_counter() - begun) / count)
            print(median(own))
        data = bytes(1 << 20)
        print(median([await timed(pool, len, data) for _ in range(rounds[4])]))
        print(median([await timed(pool, same, data) for _ in range(rounds[5])]))


asyncio.run(main([int(argument) for argument in sys.argv[1:]]))

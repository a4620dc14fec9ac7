"""What asyncio does, for programs.txt: python3 programs.py > programs.txt

Each program has a twin of the same name in ../beside_cpython.rs. Python 3.11 or later. The clock is virtual, so the order
of the lines is exact, and nobody waits. A group keeps its children in a set, so no program asks for the order among them.
"""

import asyncio
from asyncio import CancelledError, TaskGroup, create_task, current_task, gather, sleep, timeout


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time passes when there is nothing to do."""

    def __init__(self):
        super().__init__()
        self.now = 0.0
        look = self._selector.select

        def jump(timeout):
            self.now += timeout or 0
            return look(0)

        self._selector.select = jump

    def time(self):
        return self.now


async def waits(name, cleanup=0):
    """Waits for ever; its cleanup takes some seconds."""
    try:
        await sleep(3600)
    finally:
        print(name, "cleans up")
        if cleanup:
            await sleep(cleanup)
            print(name, "has cleaned up")


async def works(name, seconds):
    print(name, "begins")
    await sleep(seconds)
    print(name, "ends")
    return name


async def fails(name, seconds):
    await sleep(seconds)
    print(name, "fails")
    raise ValueError(name)


# --- tasks -----------------------------------------------------------------------------------------------------------


async def spawn_order():
    async def child(name):
        print(name, "one")
        await sleep(0)
        print(name, "two")

    print("main spawns")
    tasks = [create_task(child(name)) for name in "abc"]
    print("main waits")
    await sleep(0)
    print("main goes on")
    await gather(*tasks)


async def callbacks_order():
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    for number in range(3):
        future.add_done_callback(lambda _, number=number: print("callback", number))
    loop.call_soon(lambda: print("soon"))
    future.set_result(42)
    print("set")
    loop.call_soon(lambda: print("later"))
    await sleep(0)
    print("main")


async def timers_order():
    loop = asyncio.get_running_loop()
    for delay in [3, 1, 2, 1]:
        loop.call_later(delay, lambda delay=delay: print("after", delay))
    timer = loop.call_later(2.5, lambda: print("never"))
    timer.cancel()
    loop.call_soon(lambda: print("soon"))
    await sleep(5)


# --- cancellation ----------------------------------------------------------------------------------------------------


async def cancel_chain():
    async def middle(inner):
        try:
            await inner
        finally:
            print("middle cleans up")

    async def outer(inner):
        try:
            await create_task(middle(inner))
        finally:
            print("outer cleans up", inner.cancelled())

    inner = create_task(waits("inner", 1))
    task = create_task(outer(inner))
    await sleep(1)
    print("cancel", task.cancel())
    try:
        await task
    except CancelledError:
        print("main sees it", task.cancelled())


async def cancel_and_swallow():
    async def stubborn():
        try:
            await sleep(3600)
        except CancelledError:
            print("swallowed")
        await sleep(1)
        print("slept on")
        return 42

    task = create_task(stubborn())
    await sleep(1)
    task.cancel()
    print("cancelled", task.cancelled())
    print(await task, task.cancelled())


async def cancel_itself():
    async def selfish():
        asyncio.current_task().cancel()
        print("still here")
        try:
            await sleep(0)
            print("never")
        except CancelledError:
            print("at the next await")
        await sleep(0)
        print("and not again")

    await create_task(selfish())


async def cancel_twice():
    async def slow():
        try:
            await sleep(3600)
        finally:
            print("first")
            try:
                await sleep(3600)
            finally:
                print("second")

    task = create_task(slow())
    await sleep(1)
    task.cancel()
    await sleep(1)
    print("done", task.done())
    task.cancel()
    try:
        await task
    except CancelledError:
        print("done", task.done())


async def cancel_before_the_first_step():
    task = create_task(waits("never"))
    print("cancel", task.cancel())
    other = create_task(works("other", 1))
    try:
        await task
    except CancelledError:
        print("main sees it")
    await other


async def reason_through_a_gather():
    async def child(name):
        try:
            await sleep(3600)
        except CancelledError as cancelled:
            print(name, "hears", *cancelled.args)
            raise

    async def gathers():
        await gather(child("a"), child("b"))

    task = create_task(gathers())
    await sleep(1)
    task.cancel("enough")
    try:
        await task
    except CancelledError as cancelled:
        print("main hears", *cancelled.args)


# --- timeouts --------------------------------------------------------------------------------------------------------


async def wait_for_waits_for_the_end():
    async def reports(task):
        try:
            return await asyncio.wait_for(task, 1)
        except asyncio.TimeoutError:
            print("timeout", task.cancelled())

    await reports(create_task(waits("task", 1)))
    print(await reports(create_task(works("quick", 0.5))))


async def shield_goes_on():
    task = create_task(works("task", 3))
    try:
        await asyncio.wait_for(asyncio.shield(task), 1)
    except asyncio.TimeoutError:
        print("timeout", task.done())
    print(await task)


async def a_shielding_waiter_is_cancelled():
    task = create_task(works("task", 3))

    async def waiter():
        try:
            await asyncio.shield(task)
        finally:
            print("waiter leaves")

    waiting = create_task(waiter())
    await sleep(1)
    waiting.cancel()
    try:
        await waiting
    except CancelledError:
        print("waiter is cancelled")
    print(await task)


# --- gather, wait, as_completed --------------------------------------------------------------------------------------


async def gather_in_order():
    print(await gather(works("b", 2), works("a", 1), works("c", 3)))


async def gather_fails_at_once():
    tasks = [create_task(works("a", 3)), create_task(fails("b", 1)), create_task(fails("c", 2))]
    try:
        await gather(*tasks)
    except ValueError as error:
        print("main sees", error)
    await sleep(5)
    tasks[2].exception()


async def gather_is_cancelled():
    async def gathers():
        try:
            await gather(waits("a", 2), waits("b", 1), works("c", 0.5), return_exceptions=True)
            print("never")
        finally:
            print("the waiter is cancelled")

    task = create_task(gathers())
    await sleep(1)
    task.cancel()
    try:
        await task
    except CancelledError:
        print("main sees it")


async def wait_for_the_first():
    tasks = [create_task(works(name, seconds)) for name, seconds in [("a", 3), ("b", 1), ("c", 2)]]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    print([task.result() for task in done], len(pending))
    done, pending = await asyncio.wait(pending, timeout=1.5)
    print([task.result() for task in done], len(pending))
    done, pending = await asyncio.wait(pending)
    print([task.result() for task in done], len(pending))


async def as_they_come():
    tasks = [create_task(works(name, seconds)) for name, seconds in [("a", 3), ("b", 1), ("c", 2)]]
    for next_one in asyncio.as_completed(tasks):
        print("got", await next_one)


# --- groups ----------------------------------------------------------------------------------------------------------


async def group_waits():
    async with asyncio.TaskGroup() as group:
        group.create_task(works("a", 2))
        group.create_task(works("b", 1))
        print("the body ends")
    print("the group ends")


async def group_fails():
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(waits("a", 2))
            group.create_task(fails("b", 1))
            await waits("body", 1)
    except* ValueError as errors:
        print("the group gives", [str(error) for error in errors.exceptions])


async def group_with_a_child_that_is_cancelled():
    async with asyncio.TaskGroup() as group:
        child = group.create_task(waits("child"))
        group.create_task(works("other", 2))
        await sleep(1)
        child.cancel()
        print("the body ends")
    print("the group ends")


async def group_is_cancelled():
    async def parent():
        async with asyncio.TaskGroup() as group:
            group.create_task(waits("child", 2))
            print("the body ends")
        print("never")

    task = create_task(parent())
    await sleep(1)
    task.cancel()
    try:
        await task
    except CancelledError:
        print("main sees it")


async def group_adds_while_it_ends():
    async with asyncio.TaskGroup() as group:

        async def child():
            await sleep(1)
            group.create_task(works("late", 1))
            print("the child ends")

        group.create_task(child())
        print("the body ends")
    print("the group ends")


async def group_awaits_a_child_that_fails():
    try:
        async with asyncio.TaskGroup() as group:
            child = group.create_task(fails("child", 1))
            try:
                await child
                print("never")
            finally:
                print("the body is cancelled")
    except* ValueError as errors:
        print("the group gives", [str(error) for error in errors.exceptions])


async def group_fails_while_it_is_cancelled():
    async def child():
        try:
            await sleep(3600)
        finally:
            await sleep(1)
            raise ValueError("child")

    async def parent():
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(child())
        except* ValueError as errors:
            print("the group gives", [str(error) for error in errors.exceptions])

    task = create_task(parent())
    await sleep(1)
    task.cancel()
    await asyncio.wait([task])


async def a_sibling_awaits_a_child():
    async with asyncio.TaskGroup() as group:
        child = group.create_task(waits("child", 1))

        async def sibling():
            try:
                await child
            finally:
                print("the sibling is cancelled", child.cancelled())

        waiter = group.create_task(sibling())
        await sleep(1)
        waiter.cancel()
    print("the group ends")


# --- queues and locks ------------------------------------------------------------------------------------------------


async def queue_of_one():
    queue = asyncio.Queue(1)

    async def producer():
        for number in range(3):
            await queue.put(number)
            print("put", number)

    async def consumer():
        while True:
            number = await queue.get()
            await sleep(1)
            print("got", number)
            queue.task_done()

    producing, consuming = create_task(producer()), create_task(consumer())
    await producing
    await queue.join()
    print("joined")
    consuming.cancel()


async def semaphore_in_order():
    semaphore = asyncio.Semaphore(2)

    async def user(name):
        async with semaphore:
            print(name, "in")
            await sleep(1)
            print(name, "out")

    await gather(*(user(name) for name in "abcd"))


async def event_wakes_all():
    event = asyncio.Event()

    async def waiter(name):
        await event.wait()
        print(name, "woken")

    tasks = [create_task(waiter(name)) for name in "abc"]
    await sleep(1)
    event.set()
    print("set")
    await gather(*tasks)


async def condition_wakes_some():
    condition = asyncio.Condition()

    async def waiter(name):
        async with condition:
            await condition.wait()
            print(name, "woken")

    tasks = [create_task(waiter(name)) for name in "abc"]
    for count in [1, 2]:
        await sleep(1)
        async with condition:
            condition.notify(count)
        print("notified", count)
    await gather(*tasks)


# --- time limits -----------------------------------------------------------------------------------------------------


async def limited(name, seconds, inside):
    """A timeout that says how it ended."""
    try:
        async with timeout(seconds):
            await inside
        print(name, "has a value")
    except TimeoutError:
        print(name, "timed out")
    except CancelledError:
        print(name, "was cancelled")
        raise


async def cleans(seconds, swallow=False):
    """Waits for ever; its cleanup takes some seconds, and may swallow what interrupts it."""
    try:
        await sleep(3600)
    except CancelledError:
        try:
            await sleep(seconds)
            print("has cleaned up")
        except CancelledError:
            print("is interrupted")
            if not swallow:
                raise
        raise


async def limit_around_a_cleanup_that_is_interrupted():
    for swallow in [False, True]:
        await limited("outer", 2, limited("inner", 1, cleans(5, swallow)))


async def limit_whose_cleanup_swallows_a_request():
    async def body():
        await limited("inner", 1, cleans(5, True))
        print("goes on")

    task = create_task(body())
    await sleep(2)
    task.cancel()
    await asyncio.wait([task])
    print(task.cancelled(), task.cancelling())


async def limit_in_a_cleanup():
    async def cleans_within_a_limit():
        try:
            await sleep(3600)
        except CancelledError:
            await limited("cleanup", 1, sleep(3600))
            raise

    await limited("outer", 1, cleans_within_a_limit())
    task = create_task(cleans_within_a_limit())
    await sleep(1)
    task.cancel()
    await asyncio.wait([task])
    print(task.cancelled())


async def limit_after_a_request_was_swallowed():
    async def swallows(inside, uncancel):
        try:
            await sleep(3600)
        except CancelledError:
            if uncancel:
                current_task().uncancel()
        await inside

    for uncancel in [False, True]:
        # swallowed inside of the limit, and before it
        task = create_task(limited("limit", 3, swallows(sleep(3600), uncancel)))
        await sleep(1)
        task.cancel()
        await asyncio.wait([task])
        print(task.cancelled())
        task = create_task(swallows(limited("limit", 3, sleep(3600)), uncancel))
        await sleep(1)
        task.cancel()
        await asyncio.wait([task])
        print(task.cancelled())


async def limit_in_a_group_that_fails():
    for swallow in [False, True]:
        try:
            async with TaskGroup() as group:
                group.create_task(fails("child", 2))
                await limited("limit", 1, cleans(5, swallow))
                print("never")
        except ExceptionGroup as error:
            print("the group gives", [str(e) for e in error.exceptions])


async def three_limits():
    for a, b, c in [(3, 1, 2), (1, 3, 2), (2, 3, 1)]:
        await limited("a", a, limited("b", b, limited("c", c, cleans(5, swallow=True))))


async def limit_entered_while_another_is_over():
    async def inside():
        try:
            await sleep(3600)
        except CancelledError:
            await limited("b", 2, cleans(9, True))
            raise

    # a is over at 1; b, in its cleanup, at 3
    await limited("a", 1, inside())
    # z is over at 2, while b waits
    await limited("z", 2, limited("a", 1, inside()))


# --- the end of a run ------------------------------------------------------------------------------------------------


async def leftovers():
    async def leftover(name, cleanup):
        try:
            await sleep(3600)
        finally:
            await sleep(cleanup)
            print(name, "has cleaned up")

    tasks = [create_task(leftover(name, cleanup)) for name, cleanup in [("a", 2), ("b", 1), ("c", 3)]]
    await sleep(1)
    print("main ends", len(tasks))


PROGRAMS = [
    spawn_order,
    callbacks_order,
    timers_order,
    cancel_chain,
    cancel_and_swallow,
    cancel_itself,
    cancel_twice,
    cancel_before_the_first_step,
    reason_through_a_gather,
    wait_for_waits_for_the_end,
    shield_goes_on,
    a_shielding_waiter_is_cancelled,
    gather_in_order,
    gather_fails_at_once,
    gather_is_cancelled,
    wait_for_the_first,
    as_they_come,
    group_waits,
    group_fails,
    group_with_a_child_that_is_cancelled,
    group_is_cancelled,
    group_adds_while_it_ends,
    group_awaits_a_child_that_fails,
    group_fails_while_it_is_cancelled,
    a_sibling_awaits_a_child,
    queue_of_one,
    semaphore_in_order,
    event_wakes_all,
    condition_wakes_some,
    limit_around_a_cleanup_that_is_interrupted,
    limit_whose_cleanup_swallows_a_request,
    limit_in_a_cleanup,
    limit_after_a_request_was_swallowed,
    limit_in_a_group_that_fails,
    three_limits,
    limit_entered_while_another_is_over,
    leftovers,
]

if __name__ == "__main__":
    for program in PROGRAMS:
        print("##", program.__name__)
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(program())

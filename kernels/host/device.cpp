// The emulated device: blocks of fibers on threads of the CPU, in an order that the caller chooses.
//
// Blocks are handed out to operating-system threads; within a block each CUDA thread is a fiber with a stack of its own. A
// barrier and an exchange of a warp are generation counters: who comes last raises the counter and goes on, the others wait
// for it to change. When no fiber of a block can go on, the launch ends with an error that says who waits where.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "shim.h"
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace host {

thread_local Place* place = nullptr;
Kernel* kernels = nullptr;

namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool WATCHED = true;
constexpr std::size_t STACK = 256 << 10;
#else
constexpr bool WATCHED = false;
constexpr std::size_t STACK = 64 << 10;
#endif
constexpr unsigned MOST_THREADS = 1024;
constexpr std::size_t MOST_SHARED = 227 << 10;

struct Copy {
    void* target;
    const void* source;
    std::size_t bytes, valid;
};

struct Warp {
    unsigned char slots[2][32][SLOT];
    unsigned arrived, generation;
};

struct Fiber {
    Place at;
    bool done;
    // Waits while `*counter == value`; a null counter waits for nothing.
    const unsigned* counter;
    unsigned value;
    const char* file;
    int line;
    std::vector<Copy> copies;
    std::vector<std::size_t> groups;
    const void* stack;
    void* frames;
#if defined(__x86_64__)
    void* stack_pointer;
#else
    ucontext_t context;
#endif
};

/// What threads did, each of a warp or block counted: how often they came to a barrier or an exchange, and asynchronous copies.
struct Counts {
    std::uint64_t barriers, exchanges, copies;
};

struct Launch {
    const Kernel* kernel;
    void** arguments;
    dim3 grid, block;
    std::size_t shared;
    int schedule;
    std::uint64_t seed;
    long blocks;
    std::atomic<long> next{0};
    std::atomic<bool> failed{false};
    std::mutex guard;
    std::string error;
    Counts counts{};

    void add(const Counts& more) {
        std::lock_guard<std::mutex> lock(guard);
        counts.barriers += more.barriers;
        counts.exchanges += more.exchanges;
        counts.copies += more.copies;
    }
    void fail(const std::string& message) {
        std::lock_guard<std::mutex> lock(guard);
        if (!failed.exchange(true)) error = message;
    }
};

/// What one operating-system thread needs to run blocks.
struct Machine {
    unsigned char* stacks = nullptr;
    std::vector<Fiber> fibers;
    std::vector<Warp> warps;
    std::vector<unsigned> order;
    unsigned alive = 0, arrived = 0, generation = 0;
    Counts counts{};
    Launch* launch = nullptr;
    Fiber* current = nullptr;
    // The stack of the thread of the CPU, as AddressSanitizer knows it.
    const void* home_stack = nullptr;
    std::size_t home_bytes = 0;
    void* home_frames = nullptr;
#if defined(__x86_64__)
    void* home = nullptr;
#else
    ucontext_t home;
#endif

    Machine() {
        void* memory =
            mmap(nullptr, STACK * MOST_THREADS, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        stacks = memory == MAP_FAILED ? nullptr : static_cast<unsigned char*>(memory);
        for (unsigned i = 0; stacks != nullptr && i < MOST_THREADS; ++i) {
            // A stack that overflows ends the process here and not in its neighbour.
            mprotect(stacks + i * STACK, std::size_t(sysconf(_SC_PAGESIZE)), PROT_NONE);
        }
    }
    ~Machine() {
        if (stacks == nullptr) return;
#if defined(__SANITIZE_ADDRESS__)
        // Whoever gets these addresses next begins without marks of fibers that did not end.
        __asan_unpoison_memory_region(stacks, STACK * MOST_THREADS);
#endif
        munmap(stacks, STACK * MOST_THREADS);
    }
    void leave();
    void enter(Fiber& fiber, unsigned index);
    void resume(Fiber& fiber);
    void arrange(std::uint64_t& state);
    std::string waiting(dim3 block) const;
    bool run_some(unsigned first, unsigned last);
    void run_block(long index, unsigned char* shared);
    void work(Launch& with);
};

thread_local Machine* machine = nullptr;

struct Owner {
    std::unique_ptr<Machine> own;
    ~Owner() { machine = nullptr; }
};
thread_local Owner owner;

Machine& this_machine() {
    if (machine == nullptr) {
        owner.own = std::make_unique<Machine>();
        machine = owner.own.get();
    }
    return *machine;
}

// AddressSanitizer is told of every change of stacks: before, where it leads, and after, on the stack that is then in use.
void changing([[maybe_unused]] void** frames, [[maybe_unused]] const void* bottom, [[maybe_unused]] std::size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(frames, bottom, bytes);
#endif
}

void changed([[maybe_unused]] void* frames, [[maybe_unused]] const void** from, [[maybe_unused]] std::size_t* bytes) {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(frames, from, bytes);
#endif
}

void body() {
    Machine& m = *machine;
    changed(nullptr, &m.home_stack, &m.home_bytes);
    m.launch->kernel->call(m.launch->arguments);
    m.current->done = true;
    m.alive -= 1;
    m.leave();
    std::abort();
}

#if defined(__x86_64__)
extern "C" void tunesmith_switch(void** save, void* load);
asm(R"(
.text
.hidden tunesmith_switch
.globl tunesmith_switch
.type tunesmith_switch, @function
tunesmith_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size tunesmith_switch, .-tunesmith_switch
)");
#endif

}  // namespace

void Machine::leave() {
    Fiber& fiber = *current;
    changing(fiber.done ? nullptr : &fiber.frames, home_stack, home_bytes);
#if defined(__x86_64__)
    tunesmith_switch(&fiber.stack_pointer, home);
#else
    swapcontext(&fiber.context, &home);
#endif
    changed(fiber.frames, &home_stack, &home_bytes);
}

void Machine::resume(Fiber& fiber) {
    current = &fiber;
    place = &fiber.at;
    changing(&home_frames, fiber.stack, STACK);
#if defined(__x86_64__)
    tunesmith_switch(&home, fiber.stack_pointer);
#else
    swapcontext(&home, &fiber.context);
#endif
    changed(home_frames, nullptr, nullptr);
    current = nullptr;
}

void Machine::enter(Fiber& fiber, unsigned index) {
    unsigned char* bottom = stacks + index * STACK;
    fiber.stack = bottom;
    fiber.frames = nullptr;
#if defined(__SANITIZE_ADDRESS__)
    __asan_unpoison_memory_region(bottom, STACK);
#endif
#if defined(__x86_64__)
    // Six saved registers, the address that `ret` takes, and one word so that the stack is aligned as after a call.
    void** top = reinterpret_cast<void**>(bottom + STACK) - 8;
    for (int i = 0; i < 6; ++i) top[i] = nullptr;
    top[6] = reinterpret_cast<void*>(&body);
    top[7] = nullptr;
    fiber.stack_pointer = top;
#else
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = bottom + sysconf(_SC_PAGESIZE);
    fiber.context.uc_stack.ss_size = STACK - sysconf(_SC_PAGESIZE);
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, body, 0);
#endif
}

/// The order of the next round: as they are, from the last, or shuffled again each round.
void Machine::arrange(std::uint64_t& state) {
    unsigned count = unsigned(order.size());
    for (unsigned i = 0; i < count; ++i) order[i] = launch->schedule == 1 ? count - 1 - i : i;
    if (launch->schedule != 2) return;
    for (unsigned i = count; i > 1; --i) {
        state = state * 6364136223846793005ull + 1442695040888963407ull;
        std::swap(order[i - 1], order[unsigned(state >> 33) % i]);
    }
}

std::string Machine::waiting(dim3 block) const {
    std::string text = "[" + std::string(launch->kernel->name) +
                       "] expected every thread of a block at the same barrier, got block (" + std::to_string(block.x) + ", " +
                       std::to_string(block.y) + ", " + std::to_string(block.z) + ") with";
    std::set<std::string> told;
    for (const Fiber& fiber : fibers) {
        std::string where = fiber.done ? "ended" : std::string(fiber.file) + ":" + std::to_string(fiber.line);
        if (told.size() < 6 && told.insert(where).second)
            text += " thread " + std::to_string(fiber.at.thread.x) + " " + (fiber.done ? "" : "at ") + where + ";";
    }
    return text;
}

/// Takes up, once each, those fibers of a part of the order that can go on. False where there was none.
bool Machine::run_some(unsigned first, unsigned last) {
    bool moved = false;
    for (unsigned place = first; place < last && !launch->failed.load(std::memory_order_relaxed); ++place) {
        Fiber& fiber = fibers[order[place]];
        if (fiber.done || (fiber.counter != nullptr && *fiber.counter == fiber.value)) continue;
        fiber.counter = nullptr;
        moved = true;
        resume(fiber);
    }
    return moved;
}

void Machine::run_block(long index, unsigned char* shared) {
    Launch& l = *launch;
    unsigned count = l.block.x * l.block.y * l.block.z;
    dim3 at{unsigned(index % l.grid.x), unsigned(index / l.grid.x % l.grid.y), unsigned(index / l.grid.x / l.grid.y)};
    if (l.shared > 0) std::memset(shared, 0xff, l.shared);  // 0xffffffff is a NaN: what was never written is found out
    fibers.resize(count);
    warps.resize((count + 31) / 32);
    order.resize(count);
    for (Warp& warp : warps) warp.arrived = warp.generation = 0;
    arrived = generation = 0;
    alive = count;
    for (unsigned i = 0; i < count; ++i) {
        Fiber& fiber = fibers[i];
        fiber.at = Place{{i % l.block.x, i / l.block.x % l.block.y, i / l.block.x / l.block.y}, at, l.block, l.grid, shared};
        fiber.done = false;
        fiber.counter = nullptr;
        fiber.copies.clear();
        fiber.groups.clear();
        enter(fiber, i);
    }
    std::uint64_t state = l.seed * 0x9e3779b97f4a7c15ull + std::uint64_t(index) + 1;
    while (alive > 0 && !l.failed.load(std::memory_order_relaxed)) {
        arrange(state);
        bool moved = false;
        // In order, a warp runs as far as it can before the next one begins: what it does too early, it does long before the
        // others. Shuffled, all warps are side by side.
        const unsigned together = l.schedule == 2 ? count : 32;
        for (unsigned first = 0; first < count; first += together) {
            while (run_some(first, first + together)) {
                moved = true;
                if (l.schedule == 2) break;
            }
            if (l.failed.load(std::memory_order_relaxed)) return;
        }
        if (!moved) l.fail(waiting(at));
    }
}

void Machine::work(Launch& with) {
    launch = &with;
    counts = {};
    void* shared = nullptr;
    if (with.shared > 0 && posix_memalign(&shared, 1024, with.shared) != 0) return with.fail("no memory for shared memory");
    for (long i; !with.failed.load() && (i = with.next.fetch_add(1)) < with.blocks;) {
        // The order of the blocks follows the schedule too.
        run_block(with.schedule == 1 ? with.blocks - 1 - i : i, static_cast<unsigned char*>(shared));
    }
    std::free(shared);
    with.add(counts);
    place = nullptr;
}

namespace {

void wait(const unsigned* counter, unsigned value, const char* file, int line) {
    Fiber& fiber = *machine->current;
    fiber.counter = counter;
    fiber.value = value;
    fiber.file = file;
    fiber.line = line;
    machine->leave();
}

unsigned linear(const Place& at) { return at.thread.x + at.block_dim.x * (at.thread.y + at.block_dim.y * at.thread.z); }

/// Threads besides the one that launches. One launch has them at a time; another one runs alone.
class Helpers {
public:
    static Helpers& all() {
        static Helpers* helpers = new Helpers;  // never destroyed: a thread may outlive main
        return *helpers;
    }
    void run(Launch& launch) {
        std::unique_lock<std::mutex> mine(use, std::try_to_lock);
        if (!mine.owns_lock() || launch.blocks < 2 || count == 0) return this_machine().work(launch);
        {
            std::lock_guard<std::mutex> lock(guard);
            job = &launch;
            generation += 1;
            busy = count;
        }
        start.notify_all();
        this_machine().work(launch);
        std::unique_lock<std::mutex> lock(guard);
        finished.wait(lock, [&] { return busy == 0; });
        job = nullptr;
    }

private:
    std::mutex use, guard;
    std::condition_variable start, finished;
    Launch* job = nullptr;
    unsigned long generation = 0;
    unsigned busy = 0, count = 0;

    Helpers() {
        unsigned threads = std::thread::hardware_concurrency();
        count = threads > 1 ? std::min(threads, 8u) - 1 : 0;
        for (unsigned i = 0; i < count; ++i) std::thread([this] { serve(); }).detach();
    }
    void serve() {
        unsigned long seen = 0;
        for (;;) {
            Launch* with;
            {
                std::unique_lock<std::mutex> lock(guard);
                start.wait(lock, [&] { return generation != seen; });
                seen = generation;
                with = job;
            }
            this_machine().work(*with);
            {
                std::lock_guard<std::mutex> lock(guard);
                busy -= 1;
            }
            finished.notify_one();
        }
    }
};

std::string unfit(const Kernel& kernel, const char* signature, const Launch& l) {
    unsigned count = l.block.x * l.block.y * l.block.z;
    if (kernel.signature != signature) return "arguments " + kernel.signature + "and got " + signature;
    if (count == 0 || count % 32 != 0 || count > kernel.threads || count > MOST_THREADS) {
        return "a block of whole warps, at most " + std::to_string(kernel.threads) + " threads, and got " +
               std::to_string(count);
    }
    if (l.grid.x == 0 || l.grid.y == 0 || l.grid.z == 0 || l.grid.y > 65535 || l.grid.z > 65535)
        return "a grid of 1 to 65535 blocks in y and z";
    if (l.shared > MOST_SHARED) return "at most 227 KiB of shared memory, and got " + std::to_string(l.shared) + " bytes";
    return "";
}

}  // namespace

void barrier(const char* file, int line) {
    Machine& m = *machine;
    m.counts.barriers += 1;
    m.arrived += 1;
    if (m.arrived == m.fibers.size()) {
        m.arrived = 0;
        m.generation += 1;
        return;
    }
    wait(&m.generation, m.generation, file, line);
}

const unsigned char* exchange(const void* value, std::size_t bytes, const char* file, int line) {
    machine->counts.exchanges += 1;
    unsigned index = linear(*place);
    Warp& warp = machine->warps[index / 32];
    unsigned parity = warp.generation & 1;
    std::memcpy(warp.slots[parity][index % 32], value, bytes);
    warp.arrived += 1;
    if (warp.arrived == 32) {
        warp.arrived = 0;
        warp.generation += 1;
    } else {
        wait(&warp.generation, warp.generation, file, line);
    }
    return warp.slots[parity][0];
}

namespace {

/// Marks the launch as failed, and says which thread found what.
void note(const std::string& message) {
    Launch& launch = *machine->launch;
    launch.fail("[" + std::string(launch.kernel->name) + "] " + message + " (block " + std::to_string(place->block.x) +
                ", thread " + std::to_string(place->thread.x) + ")");
}

#if defined(__SANITIZE_ADDRESS__)
/// What AddressSanitizer found becomes the launch's error: what happened, and the innermost line of a page.
void found(const char* report) {
    if (machine == nullptr || machine->current == nullptr) std::abort();  // not in a kernel: a fault of the host
    const std::string text = report;
    const auto part = [&text](const char* from, const char* to) {
        const std::size_t begin = text.find(from), end = text.find(to, begin);
        return begin == std::string::npos || end == std::string::npos ? std::string() : text.substr(begin, end - begin);
    };
    std::string where = part(".cu:", "\n");
    if (!where.empty()) {
        const std::size_t at = text.find(".cu:"), folder = text.rfind('/', at);
        where = " at " + text.substr(folder + 1, at - folder - 1) + where;
    }
    const std::string access = part("READ of size", " at ") + part("WRITE of size", " at ");
    note(part("AddressSanitizer: ", " on ") + ", " + access + where);
}
#endif

}  // namespace

void fail(const std::string& message) {
    note(message);
    machine->leave();
}

void copy_async(void* target, const void* source, std::size_t bytes, std::size_t valid) {
    if ((reinterpret_cast<std::uintptr_t>(target) | (valid > 0 ? reinterpret_cast<std::uintptr_t>(source) : 0)) % bytes != 0) {
        fail("an asynchronous copy of " + std::to_string(bytes) + " bytes that is not aligned to them");
    }
    machine->counts.copies += 1;
    machine->current->copies.push_back({target, source, bytes, valid});
}

void copy_commit() {
    Fiber& fiber = *machine->current;
    fiber.groups.push_back(fiber.copies.size());
}

void copy_wait(unsigned pending) {
    Fiber& fiber = *machine->current;
    std::size_t count = fiber.groups.size();
    if (count <= pending) return;
    std::size_t ready = fiber.groups[count - pending - 1];
    for (std::size_t i = 0; i < ready; ++i) {
        const Copy& copy = fiber.copies[i];
        if (copy.valid > 0) std::memcpy(copy.target, copy.source, copy.valid);
        std::memset(static_cast<unsigned char*>(copy.target) + copy.valid, 0, copy.bytes - copy.valid);
    }
    fiber.copies.erase(fiber.copies.begin(), fiber.copies.begin() + std::ptrdiff_t(ready));
    fiber.groups.erase(fiber.groups.begin(), fiber.groups.end() - std::ptrdiff_t(pending));
    for (std::size_t& end : fiber.groups) end -= ready;
}

}  // namespace host

/// Finds a kernel; null when there is none of that name.
extern "C" const void* tunesmith_device_kernel(const char* name) {
    for (const host::Kernel* k = host::kernels; k != nullptr; k = k->next) {
        if (std::strcmp(k->name, name) == 0) return k;
    }
    return nullptr;
}

/// Names of all kernels, one after the other, through `visit`.
extern "C" void tunesmith_device_kernels(void (*visit)(const char* name, void* state), void* state) {
    for (const host::Kernel* k = host::kernels; k != nullptr; k = k->next) visit(k->name, state);
}

/// 1 where an access beyond an allocation or beyond shared memory ends the launch: where AddressSanitizer is built in.
extern "C" int tunesmith_device_watched() { return host::WATCHED; }

/// Runs a kernel to its end. `schedule`: 0 in order, 1 from the last, 2 shuffled by `seed`. Adds to `counts` what its
/// threads did. Gives 0, or 1 with the reason in `error`.
extern "C" int tunesmith_device_launch(const void* kernel, const char* signature, void** arguments, const unsigned* grid,
                                       const unsigned* block, std::size_t shared, int schedule, std::uint64_t seed,
                                       std::uint64_t* counts, char* error, std::size_t error_bytes) {
    host::Launch launch;
    launch.kernel = static_cast<const host::Kernel*>(kernel);
    launch.arguments = arguments;
    launch.grid = {grid[0], grid[1], grid[2]};
    launch.block = {block[0], block[1], block[2]};
    launch.shared = shared;
    launch.schedule = schedule;
    launch.seed = seed;
    launch.blocks = long(grid[0]) * grid[1] * grid[2];
#if defined(__SANITIZE_ADDRESS__)
    __asan_set_error_report_callback(host::found);
#endif
    std::string unfit = host::unfit(*launch.kernel, signature, launch);
    if (!unfit.empty()) {
        launch.fail("[" + std::string(launch.kernel->name) + "] expected " + unfit);
    } else {
        host::Helpers::all().run(launch);
    }
    counts[0] += launch.counts.barriers;
    counts[1] += launch.counts.exchanges;
    counts[2] += launch.counts.copies;
    if (!launch.failed) return 0;
    std::snprintf(error, error_bytes, "%s", launch.error.c_str());
    return 1;
}

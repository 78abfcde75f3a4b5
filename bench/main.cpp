// coir-bench: Google Benchmark's own main, but for the exit code.

#include <benchmark/benchmark.h>

#include <atomic>
#include <cstdlib>

#include "wrong_answer.hpp"

namespace coir::bench {

namespace {

// False, then true for good: a bench may run on any thread. main() reads it after all of them.
std::atomic<bool> is_wrong = false;

}  // namespace

void wrong_answer(benchmark::State& state, const char* what) {
    is_wrong.store(true, std::memory_order_relaxed);
    state.SkipWithError(what);
}

}  // namespace coir::bench

int main(int argc, char** argv) {
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
        return EXIT_FAILURE;
    }
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return coir::bench::is_wrong.load(std::memory_order_relaxed) ? EXIT_FAILURE : EXIT_SUCCESS;
}

// coir::runtime alone: fibers without HTTP.
#include <coir/runtime/runtime.hpp>
#include <coir/runtime/spawn.hpp>

int main() {
    coir::Runtime runtime({.workers = 2});
    int value = runtime.run([] { return coir::spawn([] { return 42; }).join(); });
    return value == 42 ? 0 : 1;
}

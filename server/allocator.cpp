// Makes mimalloc the allocator of this program: new and delete by the definitions in its header, malloc
// because the program is linked to its shared object, which comes before libc.

#include "allocator.hpp"

#include <mimalloc-new-delete.h>

namespace coir::server {

namespace {

std::string dotted(int a, int b, int c) {
    return std::to_string(a) + '.' + std::to_string(b) + '.' + std::to_string(c);
}

}  // namespace

std::string allocator_name() {
    // One digit each for minor and patch ("209" is 2.0.9), two each in newer ones ("20405").
    const int version = mi_version();
    return "mimalloc " + (version < 1000
                              ? dotted(version / 100, version / 10 % 10, version % 10)
                              : dotted(version / 10000, version / 100 % 100, version % 100));
}

}  // namespace coir::server

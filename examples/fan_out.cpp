// Fan out, collect through a channel: the sum of squares from 1 to 100, each by a fiber of its own.

#include <cstdio>

#include "coir/runtime/runtime.hpp"
#include "coir/runtime/scope.hpp"
#include "coir/sync/channel.hpp"

int main() {
    constexpr int kCount = 100;
    const int sum = coir::run({}, [] {
        coir::Channel<int> squares(8);
        // Its fibers have ended when it does, whatever happens, so they may refer to the channel.
        return coir::scope([&](coir::Scope& scope) {
            for (int i = 1; i <= kCount; ++i) {
                scope.spawn(
                    [i, &squares] { squares.send(i * i, coir::Deadline::never()).value(); });
            }
            int total = 0;
            for (int i = 0; i != kCount; ++i) {
                total += squares.receive(coir::Deadline::never()).value();
            }
            return total;
        });
    });
    std::printf("%d\n", sum);
    return sum == 338350 ? 0 : 1;
}

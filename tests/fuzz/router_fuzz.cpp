// The router beside the plainest one: compare every pattern with the path, segment by segment.

#include <fuzzer/FuzzedDataProvider.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "coir/http/router.hpp"
#include "fuzz/promise.hpp"

namespace {

using coir::fuzz::require;
using namespace coir::http;

/// A handler that can be told from others.
struct Marker {
    int id;
    void operator()(Request&, Response&) const {}
};

struct Entry {
    Method method;
    std::vector<std::string> segments;
    int id;
};

std::vector<std::string> segments_of(std::string_view path) {
    std::vector<std::string> segments;
    path.remove_prefix(1);
    for (;;) {
        const std::size_t slash = path.find('/');
        segments.emplace_back(path.substr(0, slash));
        if (slash == std::string_view::npos) {
            return segments;
        }
        path.remove_prefix(slash + 1);
    }
}

bool is_parameter(std::string_view segment) {
    return segment.starts_with('{');
}

bool fits(const Entry& entry, const std::vector<std::string>& path) {
    if (entry.segments.size() != path.size()) {
        return false;
    }
    for (std::size_t i = 0; i != path.size(); ++i) {
        if (is_parameter(entry.segments[i]) ? path[i].empty() : entry.segments[i] != path[i]) {
            return false;
        }
    }
    return true;
}

/// Whether `a` comes before `b`: the leftmost segment in which one is literal and the other is not decides.
bool beats(const Entry& a, const Entry& b) {
    for (std::size_t i = 0; i != a.segments.size(); ++i) {
        if (is_parameter(a.segments[i]) != is_parameter(b.segments[i])) {
            return !is_parameter(a.segments[i]);
        }
    }
    return false;
}

/// A path of the few letters that make patterns meet.
std::string make_path(FuzzedDataProvider& data, bool is_pattern) {
    static constexpr std::string_view kPieces[] = {"/", "a", "b", "/a", "/ab", "/{x}", "/{y}", "{"};
    std::string path = "/";
    for (int left = data.ConsumeIntegralInRange(0, 12); left > 0; --left) {
        path += kPieces[data.ConsumeIntegralInRange<std::size_t>(0, is_pattern ? 7 : 4)];
    }
    return path;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    static constexpr Method kMethods[] = {Method::get, Method::post, Method::head};
    FuzzedDataProvider data(bytes, size);
    Router router;
    std::vector<Entry> entries;
    for (int left = data.ConsumeIntegralInRange(0, 12); left > 0; --left) {
        const Method method = kMethods[data.ConsumeIntegralInRange<std::size_t>(0, 2)];
        const std::string pattern =
            data.ConsumeBool() ? make_path(data, true) : data.ConsumeRandomLengthString(16);
        const int id = static_cast<int>(entries.size());
        try {
            router.handle(method, pattern, Marker{id});
        } catch (const std::invalid_argument&) {
            continue;  // and the router is as it was
        }
        require(pattern.starts_with('/'), "a pattern begins with '/'");
        entries.push_back({method, segments_of(pattern), id});
    }
    for (int left = data.ConsumeIntegralInRange(0, 8); left > 0; --left) {
        const std::string path = make_path(data, false);
        const auto segments = segments_of(path);
        for (const Method method : kMethods) {
            const Entry* best = nullptr;
            MethodSet allowed;
            for (const Entry& entry : entries) {
                if (!fits(entry, segments)) {
                    continue;
                }
                allowed.insert(entry.method);
                if (entry.method == Method::get) {
                    allowed.insert(Method::head);
                }
                const bool answers = entry.method == method ||
                                     (method == Method::head && entry.method == Method::get);
                if (answers && (best == nullptr || beats(entry, *best) ||
                                (!beats(*best, entry) && entry.method == method))) {
                    best = &entry;
                }
            }
            PathParameters parameters;
            const Router::Match match = router.find(method, path, parameters);
            require((match.endpoint == nullptr) == (best == nullptr), "it finds what fits");
            if (best == nullptr) {
                for (std::size_t i = 0; i != kMethodCount; ++i) {
                    const auto other = static_cast<Method>(i);
                    require(match.allowed.contains(other) == allowed.contains(other),
                            "it says what is allowed");
                }
                continue;
            }
            require(match.endpoint->handler.target<Marker>()->id == best->id,
                    "the best one is found");
            std::size_t parameter = 0;
            for (std::size_t i = 0; i != segments.size(); ++i) {
                if (is_parameter(best->segments[i])) {
                    require(parameters.values[parameter++] == segments[i],
                            "a parameter is its segment");
                }
            }
            require(parameters.names.size() == parameter, "there are as many names as values");
        }
    }
    return 0;
}

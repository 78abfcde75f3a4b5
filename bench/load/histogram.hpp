#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace coir::bench {

/// Below 2 * kFine each value has a bucket of its own; above, kFine buckets share each power of two.
struct HistogramBuckets {
    static constexpr int kFineBits = 7;
    static constexpr std::uint64_t kFine = 1 << kFineBits;
    static constexpr int kMostBits = 40;  // 18 minutes
    static constexpr std::uint64_t kMost = (std::uint64_t{1} << kMostBits) - 1;
    static constexpr std::size_t kCount = (kMostBits - kFineBits + 1) * kFine;

    static constexpr std::size_t bucket_of(std::uint64_t value) noexcept {
        const int bits = static_cast<int>(std::bit_width(value));
        const int shift = std::max(0, bits - (kFineBits + 1));
        return static_cast<std::size_t>(shift) * kFine + (value >> shift);
    }
    static constexpr std::uint64_t last_of(std::size_t bucket) noexcept {
        if (bucket < 2 * kFine) {
            return bucket;
        }
        const std::uint64_t shift = bucket / kFine - 1;
        return ((bucket - shift * kFine + 1) << shift) - 1;
    }
};
static_assert(HistogramBuckets::last_of(HistogramBuckets::bucket_of(255)) == 255);
static_assert(HistogramBuckets::last_of(HistogramBuckets::bucket_of(256)) == 257);
static_assert(HistogramBuckets::last_of(HistogramBuckets::bucket_of(1'000'000)) == 1'003'519);
static_assert(HistogramBuckets::bucket_of(HistogramBuckets::kMost) == HistogramBuckets::kCount - 1);
static_assert(HistogramBuckets::last_of(HistogramBuckets::kCount - 1) == HistogramBuckets::kMost);

/// How often each length of time occurred, in nanoseconds, to within 1/128 of the length.
///
/// Millions of latencies are too many to be kept and sorted, and an average says nothing about the
/// tail. As in HdrHistogram every power of two is split into buckets of one width.
class Histogram final {
public:
    void add(std::uint64_t nanoseconds) noexcept {
        ++buckets_[HistogramBuckets::bucket_of(std::min(nanoseconds, HistogramBuckets::kMost))];
        ++count_;
        max_ = std::max(max_, nanoseconds);
    }

    [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
    [[nodiscard]] std::uint64_t max() const noexcept { return max_; }

    /// The least time that `share` of all did not exceed, rounded up to its bucket's end; 0 of none.
    [[nodiscard]] std::uint64_t quantile(double share) const noexcept {
        const auto wanted =
            static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(count_)));
        std::uint64_t seen = 0;
        for (std::size_t bucket = 0; bucket != buckets_.size(); ++bucket) {
            seen += buckets_[bucket];
            if (seen >= wanted) {
                return std::min(HistogramBuckets::last_of(bucket), max_);
            }
        }
        return max_;
    }

private:
    std::array<std::uint64_t, HistogramBuckets::kCount> buckets_{};
    std::uint64_t count_ = 0;
    std::uint64_t max_ = 0;
};

}  // namespace coir::bench

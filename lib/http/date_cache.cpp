#include "date_cache.hpp"

#include <chrono>
#include <cstring>

namespace coir::http {
namespace {

constexpr std::string_view kDays = "SunMonTueWedThuFriSat";
constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";

void put_digits(char* end, unsigned value, int digits) noexcept {
    for (; digits != 0; --digits) {
        *--end = static_cast<char>('0' + value % 10);
        value /= 10;
    }
}

}  // namespace

void DateCache::format(std::time_t now) noexcept {
    using namespace std::chrono;
    const sys_seconds time{seconds{now}};
    const sys_days day = floor<days>(time);
    const year_month_day date(day);
    const hh_mm_ss<seconds> clock(time - day);

    char* const text = line_.data();
    std::memcpy(text, "Date: ___, __ ___ ____ __:__:__ GMT\r\n", kLineSize);
    std::memcpy(text + 6, kDays.data() + 3 * weekday(day).c_encoding(), 3);
    put_digits(text + 13, static_cast<unsigned>(date.day()), 2);
    std::memcpy(text + 14, kMonths.data() + 3 * (static_cast<unsigned>(date.month()) - 1), 3);
    put_digits(text + 22, static_cast<unsigned>(static_cast<int>(date.year())), 4);
    put_digits(text + 25, static_cast<unsigned>(clock.hours().count()), 2);
    put_digits(text + 28, static_cast<unsigned>(clock.minutes().count()), 2);
    put_digits(text + 31, static_cast<unsigned>(clock.seconds().count()), 2);
    second_ = now;
}

}  // namespace coir::http

#include "coir/base/result.hpp"

namespace coir::detail {

void throw_error(std::error_code error) {
    throw std::system_error(error);
}

}  // namespace coir::detail

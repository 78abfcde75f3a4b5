#include "coir/http/request.hpp"

#include "client_watch.hpp"
#include "trailers.hpp"
#include "upgrade.hpp"

namespace coir::http {

std::optional<std::string_view> PathParameters::find(std::string_view name) const noexcept {
    for (std::size_t i = 0; i < names.size(); ++i) {
        if (names[i] == name) {
            return values[i];
        }
    }
    return std::nullopt;
}

std::stop_token Request::stop_token() const {
    return client_ != nullptr ? client_->token() : std::stop_token();
}

bool Request::wants_trailers() const noexcept {
    return trailers::are_wanted(*head_);
}

bool Request::offers_upgrade(std::string_view protocol) const noexcept {
    return upgrade::is_offered(*head_, protocol);
}

}  // namespace coir::http

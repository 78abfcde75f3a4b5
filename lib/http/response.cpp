#include "coir/http/response.hpp"

#include "body_sink.hpp"
#include "bytes.hpp"
#include "coir/base/error.hpp"
#include "coir/http/headers.hpp"
#include "syntax.hpp"
#include "trailers.hpp"

namespace coir::http {
namespace {

bool is_engines_own(std::string_view name) noexcept {
    return equals_ignoring_case(name, "Date") || equals_ignoring_case(name, "Connection") ||
           equals_ignoring_case(name, "Keep-Alive") ||
           equals_ignoring_case(name, "Content-Length") ||
           equals_ignoring_case(name, "Transfer-Encoding") || equals_ignoring_case(name, "Server");
}

// All the room at once: half a field, left behind for want of memory, would swallow the next line.
void append_field(std::string& fields, std::string_view name, std::string_view value) {
    constexpr std::string_view kColon = ": ";
    constexpr std::string_view kEnd = "\r\n";
    fields.reserve(fields.size() + name.size() + kColon.size() + value.size() + kEnd.size());
    fields.append(name).append(kColon).append(value).append(kEnd);
}

}  // namespace

Result<void> Response::header(std::string_view name, std::string_view value) {
    if (!syntax::is_token(name) || !syntax::is_field_value(value) || is_engines_own(name)) {
        return Errc::invalid_field;
    }
    if (equals_ignoring_case(name, "Content-Type")) {
        return content_type(value);
    }
    const bool names_upgrade = equals_ignoring_case(name, "Upgrade");
    if (names_upgrade && is_upgrade()) {
        return Errc::invalid_field;
    }
    owns_text_ = true;
    append_field(fields_, name, value);
    names_upgrade_ = names_upgrade_ || names_upgrade;
    touched_ = true;
    return {};
}

Result<void> Response::content_type(std::string_view type) {
    if (!syntax::is_field_value(type)) {
        return Errc::invalid_field;
    }
    owns_text_ = true;
    owned_content_type_ = type;
    content_type_ = owned_content_type_;
    touched_ = true;
    return {};
}

Result<void> Response::trailer(std::string_view name, std::string_view value) {
    if (!syntax::is_token(name) || !syntax::is_field_value(value) || !trailers::may_have(name)) {
        return Errc::invalid_field;
    }
    append_field(rare().trailers, name, value);
    return {};
}

Result<void> Response::announce_trailer(std::string_view name) {
    if (!syntax::is_token(name) || !trailers::may_have(name)) {
        return Errc::invalid_field;
    }
    return sink_ != nullptr && sink_->may_have_trailers() ? header("Trailer", name)
                                                          : Result<void>();
}

Response& Response::body(std::string_view text) {
    if (text.size() <= short_body_.size()) {
        bytes::copy(short_body_.data(), text.data(), text.size());
        return body_static({short_body_.data(), text.size()});
    }
    owns_text_ = true;
    owned_body_ = text;
    return body_static(owned_body_);
}

Response& Response::file(File file, std::uint64_t offset, std::uint64_t bytes) {
    return this->file(std::make_shared<const File>(std::move(file)), offset, bytes);
}

Response& Response::file(std::shared_ptr<const File> file, std::uint64_t offset,
                         std::uint64_t bytes) {
    COIR_ASSERT(file != nullptr && file->is_open());
    rare().part = {std::move(file), offset, bytes};
    body_ = {};
    touched_ = true;
    return *this;
}

Result<void> Response::upgrade(std::string_view protocol, UpgradeHook hook) {
    COIR_ASSERT(sink_ != nullptr && hook);
    if (names_upgrade_) {
        return Errc::invalid_field;
    }
    if (const auto may = sink_->may_upgrade(protocol); !may) {
        return may;
    }
    Rare& rare = this->rare();
    const auto added = header("Upgrade", protocol);
    if (added) {
        rare.upgrade = std::move(hook);
    }
    return added;
}

void Response::switch_protocols() noexcept {
    COIR_ASSERT(is_upgrade());
    status_ = Status::switching_protocols;
    content_type_ = {};
    close_ = false;
}

Response::Rare& Response::rare() {
    if (!rare_) {
        rare_ = std::make_unique<Rare>();
    }
    return *rare_;
}

void Response::forget_file() noexcept {
    rare_->part = {};
}

void Response::forget_rare() noexcept {
    rare_.reset();
}

void Response::forget_text() noexcept {
    owns_text_ = false;
    fields_.clear();
    if (owned_body_.capacity() + fields_.capacity() + owned_content_type_.capacity() > kKeptBytes) {
        // Not by assignment: that may copy nothing into what is there, and keep it.
        std::string().swap(fields_);
        std::string().swap(owned_content_type_);
        std::string().swap(owned_body_);
    }
}

Result<void> Response::send_earlier_replies(Deadline deadline) {
    COIR_ASSERT(sink_ != nullptr);
    return sink_->send_earlier(deadline);
}

}  // namespace coir::http

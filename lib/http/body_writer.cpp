#include "coir/http/body_writer.hpp"

#include "body_sink.hpp"

namespace coir::http {

Result<void> BodyWriter::write(std::span<const std::byte> data, Deadline deadline) {
    return sink_->write(data, deadline);
}

Result<void> BodyWriter::write(std::string_view text, Deadline deadline) {
    return sink_->write(std::as_bytes(std::span(text)), deadline);
}

Result<void> BodyWriter::write_file(const File& file, std::uint64_t offset, std::uint64_t bytes,
                                    Deadline deadline) {
    return sink_->write_file(file, offset, bytes, deadline);
}

Result<void> BodyWriter::flush(Deadline deadline) {
    return sink_->flush(deadline);
}

}  // namespace coir::http

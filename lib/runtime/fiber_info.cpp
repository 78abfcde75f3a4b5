#include "coir/runtime/fiber_info.hpp"

namespace coir {

std::string to_string(const FiberInfo& info) {
    std::string text = "fiber " + std::to_string(info.id);
    if (!info.name.empty()) {
        text += " \"" + info.name + '"';
    }
    switch (info.state) {
        case FiberInfo::State::ready: text += " is ready to run"; break;
        case FiberInfo::State::running:
            text += " is running on worker " + std::to_string(info.worker);
            break;
        case FiberInfo::State::waiting:
            text += std::string(" waits for ") + info.waits_for;
            if (info.fd >= 0) {
                text += " on descriptor " + std::to_string(info.fd);
            }
            break;
    }
    if (info.stop_requested) {
        text += ", though asked to stop";
    }
    return text + "; spawned at " + info.site.file_name() + ':' + std::to_string(info.site.line());
}

}  // namespace coir

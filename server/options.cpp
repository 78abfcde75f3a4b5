#include "options.hpp"

#include <array>
#include <cstdint>
#include <string>

#include "coir/base/number.hpp"
#include "text.hpp"

namespace coir::server {

namespace {

/// Where one value may come from, and what it was found to be.
struct Setting {
    std::string_view option;
    const char* variable;
    const char* text = nullptr;    // as it was given; null if it was not
    std::string_view source = {};  // the option or the variable that gave it

    [[nodiscard]] UsageError refuse(std::string_view why) const {
        return UsageError(std::string(source) + ": " + std::string(why) + ", not '" +
                          to_printable(text) + "'");
    }
};

struct Settings {
    Setting host{"--host", "COIR_HOST"};
    Setting port{"--port", "COIR_PORT"};
    Setting workers{"--workers", "COIR_WORKERS"};
    bool help = false;

    [[nodiscard]] std::array<Setting*, 3> all() noexcept { return {&host, &port, &workers}; }
};

void read_environment(Settings& settings, const Environment& environment) {
    for (Setting* setting : settings.all()) {
        const char* text = environment(setting->variable);
        if (text != nullptr && *text != '\0') {
            setting->text = text;
            setting->source = setting->variable;
        }
    }
}

void read_arguments(Settings& settings, std::span<const char* const> arguments) {
    for (std::size_t i = 0; i != arguments.size(); ++i) {
        const std::string_view argument = arguments[i];
        if (argument == "--help" || argument == "-h") {
            settings.help = true;
            continue;
        }
        const std::string_view name = argument.substr(0, argument.find('='));
        Setting* found = nullptr;
        for (Setting* setting : settings.all()) {
            if (setting->option == name) {
                found = setting;
            }
        }
        if (found == nullptr) {
            throw UsageError("there is no option '" + to_printable(argument) + "'; see --help");
        }
        if (name.size() != argument.size()) {
            found->text = arguments[i] + name.size() + 1;
        } else if (i + 1 != arguments.size()) {
            found->text = arguments[++i];
        } else {
            throw UsageError(std::string(name) + " needs a value");
        }
        found->source = found->option;
    }
}

}  // namespace

Options parse_options(std::span<const char* const> arguments, const Environment& environment) {
    Settings settings;
    read_environment(settings, environment);
    read_arguments(settings, arguments);

    Options options;
    options.help = settings.help;
    if (options.help) {
        return options;  // whoever asks may well have a wrong value
    }
    if (settings.port.text != nullptr) {
        const auto port = parse_integer<std::uint16_t>(settings.port.text);
        if (!port) {
            throw settings.port.refuse("a port is an integer from 0 to 65535");
        }
        options.address = options.address.with_port(*port);
    }
    if (settings.host.text != nullptr) {
        const auto address = net::SocketAddress::parse(settings.host.text, options.address.port());
        if (!address) {
            throw settings.host.refuse("a host is an IPv4 or IPv6 address");
        }
        options.address = *address;
    }
    if (settings.workers.text != nullptr) {
        const auto workers = parse_integer<std::size_t>(settings.workers.text);
        if (!workers || *workers > kMaxWorkers) {
            throw settings.workers.refuse("workers are an integer from 0 (one per usable CPU) to " +
                                          std::to_string(kMaxWorkers));
        }
        options.workers = *workers;
    }
    return options;
}

std::string_view usage() noexcept {
    return "usage: coir-server [--host ADDRESS] [--port PORT] [--workers COUNT]\n"
           "\n"
           "  --host ADDRESS   IPv4 or IPv6 address to listen on; 0.0.0.0 unless told (COIR_HOST)\n"
           "  --port PORT      8080 unless told, 0 for any free port (COIR_PORT)\n"
           "  --workers COUNT  worker threads; 0, as unless told, for one per usable CPU "
           "(COIR_WORKERS)\n"
           "  --help           print this and end\n"
           "\n"
           "The environment variables in parentheses say the same; options win. SIGTERM or SIGINT "
           "ends\n"
           "the server when its requests are answered, a second one at once.\n";
}

}  // namespace coir::server

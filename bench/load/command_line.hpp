#pragma once

#include <sys/types.h>

#include <cstdlib>
#include <initializer_list>
#include <string_view>
#include <variant>
#include <vector>

namespace coir::bench {

/// "--name VALUE" and where the value goes; it may come several times where it goes to a vector.
struct CommandLineOption {
    std::string_view name;
    std::variant<const char**, int*, long*, double*, std::vector<pid_t>*> into;

    void take(const char* value) const {
        struct Taker {
            const char* value;
            void operator()(const char** into) const { *into = value; }
            void operator()(int* into) const { *into = std::atoi(value); }
            void operator()(long* into) const { *into = std::atol(value); }
            void operator()(double* into) const { *into = std::atof(value); }
            void operator()(std::vector<pid_t>* into) const { into->push_back(std::atoi(value)); }
        };
        std::visit(Taker{value}, into);
    }
};

/// False if an option is not among these, or has no value. What is no number is 0.
inline bool read_command_line(int argc, char** argv,
                              std::initializer_list<CommandLineOption> options) {
    for (int i = 1; i + 1 < argc; i += 2) {
        const CommandLineOption* found = nullptr;
        for (const CommandLineOption& option : options) {
            found = option.name == argv[i] ? &option : found;
        }
        if (found == nullptr) {
            return false;
        }
        found->take(argv[i + 1]);
    }
    return argc % 2 == 1;
}

}  // namespace coir::bench

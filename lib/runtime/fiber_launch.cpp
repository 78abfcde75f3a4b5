#include "runtime/fiber_launch.hpp"

#include "runtime/core.hpp"

namespace coir::detail {
namespace {

/// Gives Boost the stack that we have already cut.
class CutStack final {
public:
    explicit CutStack(const FiberControl& control) noexcept
        : core_(control.core), region_(control.stack), top_(control.storage) {}

    boost::context::stack_context allocate() const noexcept {
        boost::context::stack_context stack;
        stack.sp = top_;
        stack.size = static_cast<std::size_t>(static_cast<std::byte*>(top_) - region_.bottom());
        return stack;
    }
    void deallocate(boost::context::stack_context&) noexcept { core_->give_back_stack(region_); }

private:
    RuntimeCore* core_;
    StackRegion region_;
    void* top_;  // what lies above belongs to us
};

}  // namespace

boost::fibers::context* make_context(FiberControl& control) noexcept {
    const boost::intrusive_ptr<boost::fibers::context> context =
        boost::fibers::make_worker_context_with_properties(
            boost::fibers::launch::post, &control, CutStack(control),
            [&control]() noexcept { run_fiber(control); });
    return context.get();
}

}  // namespace coir::detail

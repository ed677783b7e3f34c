// Whether there is a processor to spin on.
#include "base/spinner.hpp"

#include "base/processors.hpp"

namespace asyncio::inline v0 {
namespace detail {

bool Spinner::is_free(std::size_t others) noexcept {
    // Asking costs nothing beside what it costs to have spun in vain.
    if (processors_ == 0 || to_leave_out_ != 0) {
        processors_ = usable_processors();
    }
    if (processors_ > 1 && others < processors_) {
        return true;
    }
    learn(false);
    return false;
}

}  // namespace detail
}  // namespace asyncio::inline v0

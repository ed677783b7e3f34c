// Connections whose making is interrupted.
#pragma once

#include <asyncio/transports.hpp>

namespace asyncio::inline v0 {
namespace detail {

// Closes a connection that its maker does not get.
class CloseUnlessDone {
public:
    explicit CloseUnlessDone(BaseTransport& transport) noexcept : transport_(&transport) {}
    CloseUnlessDone(const CloseUnlessDone&) = delete;
    CloseUnlessDone& operator=(const CloseUnlessDone&) = delete;
    ~CloseUnlessDone() {
        if (transport_ != nullptr) {
            transport_->close();
        }
    }
    void done() noexcept { transport_ = nullptr; }

private:
    BaseTransport* transport_;
};

}  // namespace detail
}  // namespace asyncio::inline v0

// Waiting in line for a connection.
#include "http/admission.hpp"

namespace asyncio::inline v0 {
namespace http {
namespace detail {

Admission::Ticket::Ticket(Admission& admission, Exchange& exchange, const std::string& origin,
                          Slot previous)
    : Step(exchange), admission_(admission), origin_(admission.use(origin)),
      previous_(std::move(previous)) {}

Admission::Ticket::~Ticket() {
    if (!done()) {
        leave();
    }
    if (granted_) {
        admission_.release(origin_);
    } else {
        admission_.unuse(origin_);
    }
}

bool Admission::Ticket::await_ready() noexcept {
    if (exchange().aborted()) {
        return true;
    }
    is_first_ = previous_.admission_ != nullptr;
    if (is_first_) {
        previous_.admission_ = nullptr;
        admission_.vacate(*previous_.origin_);
    }
    granted_ = admission_.active_ < admission_.limit_ && admission_.has_room(origin_);
    if (granted_) {
        admission_.occupy(origin_);
        admission_.admit();
    }
    return granted_;
}

void Admission::Ticket::join_line() noexcept {
    if (is_first_) {
        // The previous slot left room in total, so it is the origin that is full.
        asyncio::detail::IntrusiveList<Ticket> first;
        first.push_back(*this);
        origin_.line.splice_front(first);
    } else {
        admission_.line_.push_back(*this);
    }
    admission_.admit();
}

Admission::Slot Admission::Ticket::await_resume() {
    resumed();
    granted_ = false;
    ++origin_.users;
    return Slot(admission_, origin_);
}

void Admission::Ticket::leave() noexcept { unlink(); }

Admission::Origin& Admission::use(const std::string& name) {
    Origin& origin = origins_[name];
    if (origin.users++ == 0) {
        origin.name = name;
    }
    return origin;
}

void Admission::unuse(Origin& origin) noexcept {
    if (--origin.users == 0) {
        origins_.erase(origins_.find(origin.name));
    }
}

void Admission::release(Origin& origin) noexcept {
    vacate(origin);
    admit();
}

void Admission::vacate(Origin& origin) noexcept {
    --active_;
    --origin.active;
    if (!origin.line.empty()) {
        // It waited longer than those who wait for the total only.
        asyncio::detail::IntrusiveList<Ticket> first;
        first.push_back(origin.line.pop_front());
        line_.splice_front(first);
    }
    unuse(origin);
}

void Admission::admit() noexcept {
    while (active_ < limit_ && !line_.empty()) {
        Ticket& ticket = line_.pop_front();
        if (!has_room(ticket.origin_)) {
            ticket.origin_.line.push_back(ticket);
            continue;
        }
        occupy(ticket.origin_);
        ticket.granted_ = true;
        ticket.finish();
    }
}

}  // namespace detail
}  // namespace http
}  // namespace asyncio::inline v0

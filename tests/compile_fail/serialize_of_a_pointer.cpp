// expect: a value given to an archive cannot be sent to another process: it holds a pointer
// expect: ; hold what it points to by value

#include <asyncio/serialize.hpp>

class Owner {
    template <class Archive>
    friend void serialize(Archive& archive, Owner& owner) {
        archive(owner.number_);
    }
    int* number_ = nullptr;
};

void write(asyncio::Writer& writer, const Owner& owner) { writer(owner); }

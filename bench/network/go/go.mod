module bench_network

go 1.19

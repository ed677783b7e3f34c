// Goroutines joined by a WaitGroup. Go has no await, so that row is missing.
package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	batch    = 1000
	secondNs = 1_000_000_000
)

// The delays of the other programs of this benchmark.
type xorshift uint64

func (state *xorshift) next() uint64 {
	*state ^= *state << 13
	*state ^= *state >> 7
	*state ^= *state << 17
	return uint64(*state)
}

const seed = xorshift(0x9E3779B97F4A7C15)

func cpuSeconds() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	seconds := float64(usage.Utime.Sec + usage.Stime.Sec)
	return seconds + float64(usage.Utime.Usec+usage.Stime.Usec)/1e6
}

func peakMemoryMiB() float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		panic(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	if err != nil {
		panic(err)
	}
	return kib / 1024
}

// together runs count goroutines and waits for all of them.
func together(count int, body func(index int)) {
	var group sync.WaitGroup
	group.Add(count)
	for index := 0; index < count; index++ {
		go func(index int) {
			body(index)
			group.Done()
		}(index)
	}
	group.Wait()
}

func spawn(operations int) {
	sum := 0
	for turn := 0; turn < operations/batch; turn++ {
		results := make([]int, batch)
		together(batch, func(index int) { results[index] = index })
		sum += results[batch-1]
	}
	runtime.KeepAlive(sum)
}

func yieldOften(times int) {
	for turn := 0; turn < times; turn++ {
		runtime.Gosched()
	}
}

func sleepTogether(count int, delay func() time.Duration) {
	var group sync.WaitGroup
	group.Add(count)
	for index := 0; index < count; index++ {
		go func(delay time.Duration) {
			time.Sleep(delay)
			group.Done()
		}(delay())
	}
	group.Wait()
}

func timers(operations int) {
	random := seed
	for index := 0; index < batch; index++ {
		time.AfterFunc(time.Duration(5+random.next()%10)*time.Second, func() {})
	}
	for turn := 0; turn < operations; turn++ {
		time.AfterFunc(10*time.Second+time.Duration(turn), func() {}).Stop()
	}
}

// Goroutines have no thread of their own: whether the two share one is the scheduler's choice.
func threadsafe(operations int) {
	calls := make(chan func(), 1024)
	go func() {
		for turn := 0; turn < operations; turn++ {
			calls <- func() {}
		}
		close(calls)
	}()
	for call := range calls {
		call()
	}
}

// callInThread has a thread of its own for the one that answers: goroutines as such would take turns
// on one.
func callInThread[T any](value T, operations int) {
	calls, results := make(chan func() T), make(chan T)
	go func() {
		runtime.LockOSThread()
		for call := range calls {
			results <- call()
		}
	}()
	for turn := 0; turn < operations; turn++ {
		calls <- func() T { return value }
		value = <-results
	}
	close(calls)
	runtime.KeepAlive(value)
}

// semaphore is the customary one: a buffered channel.
type semaphore chan struct{}

func (permits semaphore) Lock()   { permits <- struct{}{} }
func (permits semaphore) Unlock() { <-permits }

func holdInTurn(lock sync.Locker, tasks, operations int) {
	lock.Lock()
	var group sync.WaitGroup
	group.Add(tasks)
	for index := 0; index < tasks; index++ {
		go func() {
			for turn := 0; turn < operations/tasks; turn++ {
				lock.Lock()
				lock.Unlock()
			}
			group.Done()
		}()
	}
	runtime.Gosched()
	lock.Unlock()
	group.Wait()
}

func putAndGet(operations int) {
	queue := make(chan int, 1)
	sum := 0
	for turn := 0; turn < operations; turn++ {
		queue <- turn
		sum += <-queue
	}
	runtime.KeepAlive(sum)
}

func pingPong(operations int) {
	pings, pongs := make(chan int, 1), make(chan int, 1)
	go func() {
		for ball := range pings {
			pongs <- ball + 1
		}
	}()
	ball := 0
	for turn := 0; turn < operations; turn++ {
		pings <- ball
		ball = <-pongs
	}
	close(pings)
}

func setDeadlines(operations int) {
	sum := 0
	body := func(context.Context) int { return 1 }
	for turn := 0; turn < operations; turn++ {
		scope, cancel := context.WithTimeout(context.Background(), time.Hour)
		sum += body(scope)
		cancel()
	}
	runtime.KeepAlive(sum)
}

func main() {
	row := os.Args[1]
	operations, err := strconv.Atoi(os.Args[2])
	if err != nil {
		panic(err)
	}
	seconds := 1
	if len(os.Args) > 3 {
		if seconds, err = strconv.Atoi(os.Args[3]); err != nil {
			panic(err)
		}
	}
	measure(row, operations, seconds)
}

func measure(row string, operations, seconds int) {
	started, cpuStarted := time.Now(), cpuSeconds()
	reportNs := func() {
		ns := float64(time.Since(started).Nanoseconds())
		fmt.Printf("%s_ns %g\n", row, ns/float64(operations))
	}
	reportUs := func() {
		us := float64(time.Since(started).Nanoseconds()) / 1000
		fmt.Printf("%s_us %g\n", row, us/float64(operations))
	}
	switch row {
	case "spawn":
		spawn(operations)
		reportNs()
	case "switch":
		together(batch, func(int) { yieldOften(operations / batch) })
		reportNs()
	case "switch1":
		yieldOften(operations)
		reportNs()
	case "sleepers":
		sleepTogether(operations, func() time.Duration {
			return time.Duration(seconds) * time.Second
		})
		fmt.Printf("sleepers_cpu_s %g\n", cpuSeconds()-cpuStarted)
		fmt.Printf("sleepers_mib %g\n", peakMemoryMiB())
	case "sleeps":
		random := seed
		sleepTogether(operations, func() time.Duration {
			return time.Duration(random.next() % secondNs)
		})
		cpuNs := (cpuSeconds() - cpuStarted) * secondNs
		fmt.Printf("sleeps_cpu_ns %g\n", cpuNs/float64(operations))
	case "timers":
		timers(operations)
		reportNs()
	case "threadsafe":
		threadsafe(operations)
		reportNs()
	case "thread_call", "thread_call_one_core":
		callInThread(1, operations)
		reportUs()
	case "thread_mib":
		callInThread(make([]byte, 1<<20), operations)
		reportUs()
	case "lock":
		holdInTurn(&sync.Mutex{}, 1, operations)
		reportNs()
	case "lock_contended":
		holdInTurn(&sync.Mutex{}, batch, operations)
		reportNs()
	case "semaphore":
		holdInTurn(make(semaphore, 1), 1, operations)
		reportNs()
	case "semaphore_contended":
		holdInTurn(make(semaphore, 1), batch, operations)
		reportNs()
	case "queue":
		putAndGet(operations)
		reportNs()
	case "pingpong":
		pingPong(operations)
		reportNs()
	case "timeout":
		setDeadlines(operations)
		reportNs()
	case "version":
		fmt.Printf("version %s\n", strings.TrimPrefix(runtime.Version(), "go"))
	default:
		fmt.Fprintf(os.Stderr, "no row '%s' here\n", row)
		os.Exit(2)
	}
}

// The network rows in Go: a goroutine for each connection.
//
//	bench_network_go echo|tls
//	bench_network_go subprocess COUNT
package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	bufferSize     = 64 * 1024
	program        = "/bin/true"
	programsAtOnce = 8
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func echo(connection net.Conn) {
	defer connection.Close()
	buffer := make([]byte, bufferSize)
	for {
		size, err := connection.Read(buffer)
		if err != nil {
			return
		}
		if _, err = connection.Write(buffer[:size]); err != nil {
			return
		}
	}
}

func serve(row string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	fmt.Println("port", listener.Addr().(*net.TCPAddr).Port)
	if row == "tls" {
		file := os.Getenv("BENCH_CERTIFICATE")
		certificate, err := tls.LoadX509KeyPair(file, file)
		must(err)
		listener = tls.NewListener(listener,
			&tls.Config{Certificates: []tls.Certificate{certificate}})
	}
	for {
		connection, err := listener.Accept()
		must(err)
		go echo(connection)
	}
}

func cpuSeconds() float64 {
	var usage syscall.Rusage
	must(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	seconds := float64(usage.Utime.Sec + usage.Stime.Sec)
	return seconds + float64(usage.Utime.Usec+usage.Stime.Usec)/1e6
}

func startPrograms(count int) {
	begun, cpuBefore := time.Now(), cpuSeconds()
	var group sync.WaitGroup
	places := make(chan struct{}, programsAtOnce)
	for index := 0; index < count; index++ {
		places <- struct{}{}
		group.Add(1)
		go func() {
			must(exec.Command(program).Run())
			<-places
			group.Done()
		}()
	}
	group.Wait()
	fmt.Println("subprocess_us", float64(time.Since(begun).Microseconds())/float64(count))
	fmt.Println("subprocess_cpu_us", (cpuSeconds()-cpuBefore)*1e6/float64(count))
}

func main() {
	switch os.Args[1] {
	case "subprocess":
		count, err := strconv.Atoi(os.Args[2])
		must(err)
		startPrograms(count)
	case "version":
		fmt.Println("version", strings.TrimPrefix(runtime.Version(), "go"))
	default:
		serve(os.Args[1])
	}
}

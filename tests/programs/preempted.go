// Goroutines that compute without a call, so that the runtime preempts them by SIGURG, while others allocate and wake each
// other. Each looks at its own results all the time. The dialogue is that of tests/subjects/subject.h.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
)

var wrong, steps int64

// The same numbers by two ways, in registers all the time.
func compute(seed uint64) {
	a, b := seed, seed
	var count uint64
	for {
		for i := 0; i < 20_000_000; i++ {
			a = a*6364136223846793005 + 1442695040888963407
			b = b*6364136223846793004 + b + 1442695040888963407
			count++
			if a != b {
				atomic.AddInt64(&wrong, 1)
				return
			}
		}
		atomic.AddInt64(&steps, 1)
	}
}

func allocate() {
	for {
		parts := make([][]byte, 64)
		for i := range parts {
			parts[i] = make([]byte, 1024)
			parts[i][i] = byte(i)
		}
		runtime.Gosched()
		for i := range parts {
			if parts[i][i] != byte(i) {
				atomic.AddInt64(&wrong, 1)
			}
		}
		time.Sleep(200 * time.Microsecond)
	}
}

func pass(from, to chan int) {
	for {
		got := <-from
		time.Sleep(time.Millisecond)
		to <- got + 1
		atomic.AddInt64(&steps, 1)
	}
}

func main() {
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	runtime.GOMAXPROCS(4)
	for seed := uint64(1); seed <= 3; seed++ {
		go compute(seed)
	}
	go allocate()
	left, right := make(chan int), make(chan int)
	go pass(left, right)
	go pass(right, left)
	left <- 0
	time.Sleep(50 * time.Millisecond)
	fmt.Println("ready")
	<-term
	before := atomic.LoadInt64(&steps)
	time.Sleep(300 * time.Millisecond)
	ok := atomic.LoadInt64(&wrong) == 0 && atomic.LoadInt64(&steps) > before
	if ok {
		fmt.Println("ok goroutines\nverdict PASS")
		return
	}
	fmt.Printf("FAIL goroutines: %d wrong, %d steps\nverdict FAIL\n", wrong, steps-before)
	os.Exit(1)
}

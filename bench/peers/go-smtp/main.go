// go-smtp's client, for bench/relay.ts: sends equal messages as fast as they go, and prints one line of JSON.
// go-smtp has no pool: each connection is a client of its own in a goroutine of its own, which keeps it for all messages.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/emersion/go-smtp"
)

// measurement is the Measurement of bench/kit/job.ts.
type measurement struct {
	Done      int     `json:"done"`
	Failed    int64   `json:"failed"`
	Seconds   float64 `json:"seconds"`
	CPUMicros int64   `json:"cpuMicros"`
	P50Micros int64   `json:"p50Micros"`
	P99Micros int64   `json:"p99Micros"`
	RSSOctets int64   `json:"rssOctets"`
}

func main() {
	port, connections, size, seconds := number(1), int(number(2)), int(number(3)), number(4)
	message := makeMessage(size)
	var isMeasured, isOver atomic.Bool
	var failed atomic.Int64
	var threads, connected sync.WaitGroup
	latencies := make([][]int64, connections)
	threads.Add(connections)
	connected.Add(connections)
	for at := range connections {
		go func() {
			defer threads.Done()
			client, err := smtp.Dial(fmt.Sprintf("127.0.0.1:%d", int(port)))
			if err != nil {
				log.Fatal(err)
			}
			if err := send(client, message); err != nil {
				log.Fatal(err)
			}
			connected.Done()
			for !isOver.Load() {
				began := time.Now()
				err := send(client, message)
				if !isMeasured.Load() {
					continue
				}
				if err != nil {
					failed.Add(1)
				} else {
					latencies[at] = append(latencies[at], time.Since(began).Microseconds())
				}
			}
			client.Close()
		}()
	}
	connected.Wait()
	time.Sleep(time.Duration(seconds / 2 * float64(time.Second)))
	before := cpuMicros(usage())
	began := time.Now()
	isMeasured.Store(true)
	time.Sleep(time.Duration(seconds * float64(time.Second)))
	isMeasured.Store(false)
	elapsed := time.Since(began).Seconds()
	spent := cpuMicros(usage()) - before
	isOver.Store(true)
	threads.Wait()

	all := slices.Concat(latencies...)
	slices.Sort(all)
	at := func(fraction float64) int64 {
		if len(all) == 0 {
			return 0
		}
		return all[int(float64(len(all))*fraction)]
	}
	json.NewEncoder(os.Stdout).Encode(measurement{
		len(all), failed.Load(), elapsed, spent, at(0.5), at(0.99), usage().Maxrss * 1024,
	})
}

func send(client *smtp.Client, message []byte) error {
	return client.SendMail("a@sender.example", []string{"b@sink.example"}, bytes.NewReader(message))
}

// makeMessage makes the message of bench/kit/message.ts.
func makeMessage(size int) []byte {
	header := "From: <a@sender.example>\r\nTo: <b@sink.example>\r\nSubject: benchmark\r\n\r\n"
	words := "The quick brown fox jumps over the lazy dog, again and again and again."
	line := words + strings.Repeat("!", 76-len(words)) + "\r\n"
	lines := max(1, int(math.Round(float64(size-len(header))/float64(len(line)))))
	return []byte(header + strings.Repeat(line, lines))
}

func number(at int) float64 {
	value, err := strconv.ParseFloat(os.Args[at], 64)
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func usage() syscall.Rusage {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		log.Fatal(err)
	}
	return usage
}

func cpuMicros(usage syscall.Rusage) int64 {
	return (usage.Utime.Nano() + usage.Stime.Nano()) / 1000
}

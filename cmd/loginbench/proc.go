package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ticks is USER_HZ: 100 on every Linux that Go runs on.
const ticks = 100

// cpu returns the CPU time of all threads of a process in seconds, with the
// resolution of a tick. It returns 0 if the process cannot be read.
func cpu(pid int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The name may hold blanks and brackets: fields count from the last one.
	f := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.ParseFloat(f[11], 64)
	system, _ := strconv.ParseFloat(f[12], 64)
	return (user + system) / ticks
}

// rss returns the resident memory of a process in bytes.
func rss(pid int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0
	}
	return 1024 * field(text, "Rss:", 1)
}

// sockets returns the kernel memory of all TCP sockets of this machine in bytes,
// both ends included.
func sockets() float64 {
	text, err := os.ReadFile("/proc/net/sockstat")
	if err != nil {
		return 0
	}
	return float64(os.Getpagesize()) * field(text, "TCP:", 10)
}

// field returns the n-th word of the line that begins with begin.
func field(text []byte, begin string, n int) float64 {
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > n && f[0] == begin {
			v, _ := strconv.ParseFloat(f[n], 64)
			return v
		}
	}
	return 0
}

// runtimeFigures reads the Go runtime's metrics from a node's /metrics, after a
// garbage collection if live is set. It is empty without an admin address.
func (n *node) runtimeFigures(ctx context.Context, live bool) map[string]float64 {
	all := map[string]float64{}
	if n.admin == nil {
		return all
	}
	if live {
		for range 2 { // sync.Pool frees at the second collection
			n.admin.call(ctx, "/debug/pprof/heap?gc=1", "", "") // the answer is not needed
		}
	}
	_, text, _, err := n.admin.call(ctx, "/metrics", "", "")
	if err != nil {
		return all
	}
	for _, name := range []string{"go_memstats_heap_alloc_bytes", "go_memstats_heap_inuse_bytes", "go_memstats_mallocs_total", "go_memstats_stack_inuse_bytes", "go_goroutines"} {
		all[name] = field(text, name, 1)
	}
	return all
}

// redisText returns the text that Redis answers to a command without arguments.
func redisText(addr, command string) (string, error) {
	conn, err := net.DialTimeout("tcp", addr, callLimit)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(callLimit))
	if _, err := io.WriteString(conn, command+"\r\n"); err != nil {
		return "", err
	}
	r := bufio.NewReader(conn)
	head, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	if one, simple := strings.CutPrefix(head, "+"); simple {
		return one, nil
	}
	length, err := strconv.Atoi(strings.Trim(head, "$\r\n"))
	if err != nil {
		return "", fmt.Errorf("redis at %s: %.80s", addr, head)
	}
	text := make([]byte, length)
	_, err = io.ReadFull(r, text)
	return string(text), err
}

// redisInfo returns how often Redis ran each command, including those of scripts,
// and its process id.
func redisInfo(addr string) (calls map[string]int64, pid int, err error) {
	text, err := redisText(addr, "INFO everything")
	if err != nil {
		return nil, 0, err
	}
	calls = map[string]int64{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name == "process_id" {
			pid, _ = strconv.Atoi(value)
		}
		if command, ok := strings.CutPrefix(name, "cmdstat_"); ok {
			count, _, _ := strings.Cut(strings.TrimPrefix(value, "calls="), ",")
			calls[command], _ = strconv.ParseInt(count, 10, 64)
		}
	}
	return calls, pid, nil
}

// raiseFileLimit raises the file limit to the hard limit and returns it.
func raiseFileLimit() (uint64, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, err
	}
	limit.Cur = limit.Max
	return limit.Cur, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
}

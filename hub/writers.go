package hub

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// writers run socket.write in goroutines that stay for the next socket: to encode, sign and
// write a view in a new goroutine grows its stack each time. A slow browser holds only the
// goroutine that writes to it, because a socket that finds none idle gets another.
type writers struct {
	wg   *sync.WaitGroup
	done <-chan struct{} // idle goroutines end
	next chan *socket    // unbuffered: only an idle goroutine receives
	idle atomic.Int32
}

// run lets a goroutine call s.write. It does not block.
func (w *writers) run(s *socket) {
	select {
	case w.next <- s:
	default:
		w.wg.Go(func() { w.loop(s) })
	}
}

// loop writes s and then what run passes to it, as long as no more goroutines are idle than
// there are processors.
func (w *writers) loop(s *socket) {
	for {
		s.write()
		if int(w.idle.Add(1)) > runtime.GOMAXPROCS(0) {
			w.idle.Add(-1)
			return
		}
		select {
		case s = <-w.next:
			w.idle.Add(-1)
		case <-w.done:
			return
		}
	}
}

package hub

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// workers do work in goroutines that stay for the next work: to seal, sign or encode in a new
// goroutine grows its stack each time. Work that blocks holds only its own goroutine, because
// work that finds none idle gets another.
type workers[T any] struct {
	do   func(T)
	wg   *sync.WaitGroup
	done <-chan struct{} // idle goroutines end
	next chan T          // unbuffered: only an idle goroutine receives
	idle atomic.Int32
}

// run lets a goroutine call do. It does not block.
func (w *workers[T]) run(work T) {
	select {
	case w.next <- work:
	default:
		w.wg.Go(func() { w.loop(work) })
	}
}

// loop does work and then what run passes to it, as long as no more goroutines are idle than
// there are processors.
func (w *workers[T]) loop(work T) {
	for {
		w.do(work)
		if int(w.idle.Add(1)) > runtime.GOMAXPROCS(0) {
			w.idle.Add(-1)
			return
		}
		select {
		case work = <-w.next:
			w.idle.Add(-1)
		case <-w.done:
			return
		}
	}
}

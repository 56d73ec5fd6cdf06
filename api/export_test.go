package api

// RenderLimiter returns the channels of render slots and of the queue. Tests fill them.
func (s *Server) RenderLimiter() (slots, queue chan struct{}) {
	return s.renderLimiter.slots, s.renderLimiter.queue
}

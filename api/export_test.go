package api

// RenderLimiter is who draws codes and who waits to, for tests that take the places.
func (s *Server) RenderLimiter() (places, line chan struct{}) {
	return s.renderLimiter.slots, s.renderLimiter.queue
}

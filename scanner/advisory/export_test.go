package advisory

// OnStep has each step of taking data into use announced that a crash may come before.
func (m *Manager) OnStep(f func(name string)) { m.copies.step = f }

// OnFree answers how much room there is on the disk.
func (m *Manager) OnFree(f func(dir string) (int64, bool)) { m.copies.free = f }

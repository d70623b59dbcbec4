//! A terminal behind standard error, for ratatui.
//!
//! crossterm asks a terminal where the cursor is by way of standard output, which may be a file that
//! the question would be written into. Where it is none, or nobody answers, the view takes the lowest
//! lines of the screen.

use ratatui::backend::{Backend, ClearType, CrosstermBackend, WindowSize};
use ratatui::buffer::Cell;
use ratatui::layout::{Position, Rect, Size};
use std::io::{self, Write};

pub(super) struct Screen<W: Write> {
    inner: CrosstermBackend<W>,
    /// Whether the terminal can be asked where its cursor is.
    may_ask: bool,
}

impl<W: Write> Screen<W> {
    pub(super) fn new(out: W, may_ask: bool) -> Self {
        Self { inner: CrosstermBackend::new(out), may_ask }
    }

    /// Removes what is in this area and below; the cursor is where it began.
    pub(super) fn remove(&mut self, area: Rect) -> io::Result<()> {
        self.set_cursor_position(area.as_position())?;
        self.clear_region(ClearType::AfterCursor)?;
        Backend::flush(self)
    }
}

impl<W: Write> Backend for Screen<W> {
    type Error = io::Error;

    fn get_cursor_position(&mut self) -> io::Result<Position> {
        if self.may_ask {
            if let Ok(position) = self.inner.get_cursor_position() {
                return Ok(position);
            }
            // It would keep everybody waiting again.
            self.may_ask = false;
        }
        let lowest = Position::new(0, self.size()?.height.saturating_sub(1));
        self.set_cursor_position(lowest)?;
        Ok(lowest)
    }

    fn draw<'a, I>(&mut self, content: I) -> io::Result<()>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        self.inner.draw(content)
    }

    fn append_lines(&mut self, lines: u16) -> io::Result<()> {
        self.inner.append_lines(lines)
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        self.inner.hide_cursor()
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        self.inner.show_cursor()
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        self.inner.set_cursor_position(position)
    }

    fn clear(&mut self) -> io::Result<()> {
        self.inner.clear()
    }

    fn clear_region(&mut self, region: ClearType) -> io::Result<()> {
        self.inner.clear_region(region)
    }

    fn size(&self) -> io::Result<Size> {
        self.inner.size()
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        self.inner.window_size()
    }

    fn flush(&mut self) -> io::Result<()> {
        Backend::flush(&mut self.inner)
    }
}

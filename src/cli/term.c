/* What goes to the terminal and comes from files: bar, colours, wrapping, lines. */
#include "config.h"
#include "src/cli/cli.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

static bool bar_shown;

static int columns(int fd)
{
	struct winsize w;

	if (ioctl(fd, TIOCGWINSZ, &w) || w.ws_col < 20)
		return 80;
	return w.ws_col;
}

int cli_bar(void *arg, const struct rag_progress *p)
{
	enum { WIDTH = 24 };
	static double last, started;
	static const char *stage;
	static uint64_t first_done;
	struct cli *c = arg;
	double t = clock_now();
	char line[512], eta[32] = "";
	const char *what = p->what ? strrchr(p->what, '/') : NULL;
	int cols, fill, n;

	if (!c->err_tty || c->quiet)
		return 0;
	/* Streamed text shows where it is, and a bar would wipe its line. */
	if (c->out_tty && !strcmp(p->stage, "decode"))
		return 0;
	if (!stage || strcmp(stage, p->stage)) {
		stage = p->stage;
		started = t;
		first_done = p->done;
	}
	/* Nothing for what is over in a blink; then ten times a second. */
	if (t - last < 0.1 || t - started < 0.3)
		return 0;
	last = t;
	what = what && what[1] ? what + 1 : p->what ? p->what : "";
	cols = columns(STDERR_FILENO);
	if (p->total) {
		double share = (double)p->done / (double)p->total;
		double spent = t - started;
		uint64_t fresh = p->done - first_done;

		if (share > 1)
			share = 1;
		fill = (int)(share * WIDTH);
		if (fresh && spent > 1 && p->done < p->total) {
			double left = spent * (double)(p->total - p->done) / (double)fresh;

			snprintf(eta, sizeof(eta), " %d:%02d left", (int)(left / 60),
				 (int)left % 60);
		}
		n = snprintf(line, sizeof(line), "%s [%.*s%*s] %3d%%%s  %s", p->stage, fill,
			     "########################", WIDTH - fill, "", (int)(share * 100), eta,
			     what);
	} else {
		n = snprintf(line, sizeof(line), "%s %llu  %s", p->stage,
			     (unsigned long long)p->done, what);
	}
	if (n >= (int)sizeof(line))
		n = (int)sizeof(line) - 1;
	if (n >= cols)
		n = (int)utf8_floor(line, (size_t)n, (size_t)cols - 1);
	for (int i = 0; i < n; i++)	/* a file's name may hold anything */
		if ((unsigned char)line[i] < 32 || line[i] == 127)
			line[i] = '?';
	fprintf(stderr, "\r\033[K%.*s", n, line);
	bar_shown = true;
	return 0;
}

void cli_bar_clear(void)
{
	if (bar_shown)
		fputs("\r\033[K", stderr);
	bar_shown = false;
}

const char *cli_bold(const struct cli *c)
{
	return c->colour ? "\033[1m" : "";
}

const char *cli_dim(const struct cli *c)
{
	return c->colour ? "\033[2m" : "";
}

const char *cli_green(const struct cli *c)
{
	return c->colour ? "\033[32m" : "";
}

const char *cli_plain(const struct cli *c)
{
	return c->colour ? "\033[0m" : "";
}

const char *cli_bytes(char out[16], uint64_t n)
{
	static const char *const unit[] = { "B", "kB", "MB", "GB", "TB" };
	double v = (double)n;
	int i = 0;

	while (v >= 1000 && i < 4) {
		v /= 1000;
		i++;
	}
	snprintf(out, 16, i ? "%.1f %s" : "%.0f %s", v, unit[i]);
	return out;
}

static bool harmless(uint32_t c)
{
	/* C0, DEL and C1 control a terminal; so do the bidirectional overrides. */
	return !((c < 32 && c != '\n' && c != '\t') || (c >= 127 && c < 160) ||
		 (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069));
}

static void put_harmless(FILE *f, const char *text, size_t len)
{
	for (size_t i = 0, n; i < len; i += n) {
		uint32_t cp = utf8_next(text + i, len - i, &n);

		if (cp == UTF8_BAD || !harmless(cp))
			fputs("\xEF\xBF\xBD", f);
		else
			fwrite(text + i, 1, n, f);
	}
}

void cli_text(const struct cli *c, const char *text, size_t len)
{
	if (c->out_tty)
		put_harmless(stdout, text, len);
	else
		fwrite(text, 1, len, stdout);
}

void cli_err_text(const char *text)
{
	if (isatty(STDERR_FILENO))
		put_harmless(stderr, text, strlen(text));
	else
		fputs(text, stderr);
}

void cli_wrap(const char *text, size_t len, int indent)
{
	int cols = columns(STDOUT_FILENO), at = 0;
	size_t i = 0;

	if (cols > 100)
		cols = 100;	/* longer lines are hard to read */
	while (i < len) {
		size_t start, n;
		int width = 0;

		while (i < len && strchr(" \n\t\r", text[i]))
			i++;
		start = i;
		while (i < len && !strchr(" \n\t\r", text[i])) {
			uint32_t cp = utf8_next(text + i, len - i, &n);
			int w = cp == UTF8_BAD ? 1 : wcwidth((wchar_t)cp);

			width += w < 0 ? 1 : w;
			i += n;
		}
		if (i == start)
			break;
		if (!at || at + 1 + width > cols) {
			printf("%s%*s", at ? "\n" : "", indent, "");
			at = indent;
		} else {
			putchar(' ');
			at++;
		}
		put_harmless(stdout, text + start, i - start);
		at += width;
	}
	if (at)
		putchar('\n');
}

static int open_input(const char *path)
{
	int fd;

	if (!path || !strcmp(path, "-"))
		return STDIN_FILENO;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		cli_usage("cannot open '%s': %s", path, strerror(errno));
	return fd;
}

int cli_read(struct buf *out, const char *path)
{
	int fd = open_input(path), code = 0;
	char chunk[65536];
	ssize_t n;

	if (fd < 0)
		return CLI_FAIL;
	while ((n = read(fd, chunk, sizeof(chunk))) != 0) {
		if (n < 0 && errno == EINTR && !cli_interrupted())
			continue;
		if (n < 0) {
			code = errno == EINTR ? cli_fail(RAG_ECANCEL)
				: cli_usage("cannot read '%s': %s", path ? path : "-", strerror(errno));
			break;
		}
		if (buf_add(out, chunk, (size_t)n)) {
			code = cli_usage("'%s': %s", path ? path : "-", err_msg());
			break;
		}
	}
	if (fd != STDIN_FILENO)
		close(fd);
	return code;
}

int cli_each_line(const char *path, int (*fn)(void *arg, const char *line, size_t len), void *arg)
{
	int fd = open_input(path), code = 0;
	FILE *f;
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;

	if (fd < 0)
		return CLI_FAIL;
	f = fd == STDIN_FILENO ? stdin : fdopen(fd, "r");
	if (!f)
		return cli_usage("cannot read '%s': %s", path, strerror(errno));
	while (!code && !cli_interrupted() && (n = getline(&line, &cap, f)) >= 0) {
		if (n && line[n - 1] == '\n')
			line[--n] = 0;
		code = fn(arg, line, (size_t)n);
	}
	if (!code && cli_interrupted())
		code = cli_fail(RAG_ECANCEL);
	if (!code && ferror(f))
		code = cli_usage("cannot read '%s': %s", path ? path : "-", strerror(errno));
	free(line);
	if (f != stdin)
		fclose(f);
	return code;
}

#include "config.h"

#include "ingest/extract.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/utf8.h"

#define CHATTER 256	/* bytes of its standard error that we keep */

struct extract {
	pid_t pid;		/* 0: ended and waited for */
	int out;		/* the file in memory that it writes to */
	int err;		/* its standard error; its end says that the process has ended */
	double started;
	char chatter[CHATTER];
	size_t n_chatter;
};

const char *extract_type(enum frame_kind kind)
{
	static const char *const types[] = { "", "text/plain", "text/markdown", "text/html",
					     "application/pdf" };

	return kind < KIND_END ? types[kind] : "";
}

/* A PDF may have junk before its header; text may speak of one. */
static bool is_pdf(int fd, const char *type, const char *name)
{
	char head[1024];
	ssize_t n = pread(fd, head, sizeof(head), 0);
	const char *at = n > 0 ? memmem(head, (size_t)n, "%PDF-", 5) : NULL;
	size_t len = strlen(name);

	return at && (at - head < 16 || !strncasecmp(type, "application/pdf", 15) ||
		      (len > 4 && !strcasecmp(name + len - 4, ".pdf")));
}

static int spawn(struct extract *x, const char *program, int fd, int err, const char *type,
		 const char *name)
{
	/* posix_spawn() wants char *, and writes to none of them. */
	char *argv[] = { (char *)(uintptr_t)program, (char *)(uintptr_t)type, (char *)(uintptr_t)name, NULL };
	char *env[] = { NULL };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int bad;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&attr);
	/* Ctrl-C goes to the terminal's whole group: not to this process, we decide. */
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	bad = posix_spawn_file_actions_adddup2(&files, fd, 0);
	if (!bad)
		bad = posix_spawn_file_actions_adddup2(&files, x->out, 1);
	if (!bad)
		bad = posix_spawn_file_actions_adddup2(&files, err, 2);
	if (!bad)
		bad = posix_spawn(&x->pid, program, &files, &attr, argv, env);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	if (!bad)
		return RAG_OK;
	x->pid = 0;
	return err_set(bad == ENOENT ? RAG_ENOENT : RAG_EIO, "cannot run '%s': %s", program, strerror(bad));
}

/* A descriptor below 3 would be overwritten by the others' places. */
static int above(int fd)
{
	int up;

	if (fd < 0 || fd > 2)
		return fd;
	up = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	close(fd);
	return up;
}

int extract_start(struct extract **out, const char *program, int fd, const char *type, const char *name)
{
	struct extract *x = mem_calloc(1, sizeof(*x));
	struct buf path = BUF_INIT;
	int ends[2] = { -1, -1 }, in = -1, rc;

	*out = NULL;
	if (!x)
		return RAG_ENOMEM;
	x->out = x->err = -1;
	rc = buf_adds(&path, program);
	if (!rc && is_pdf(fd, type, name))
		rc = buf_adds(&path, "-pdf");
	if (!rc)
		rc = file_memory(&x->out, "ragstone-extract");
	if (rc)
		goto fail;
	x->out = above(x->out);
	in = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (pipe2(ends, O_CLOEXEC) == 0) {
		x->err = above(ends[0]);
		ends[1] = above(ends[1]);
	}
	if (x->out < 0 || x->err < 0 || ends[1] < 0 || in < 0 || fcntl(x->err, F_SETFL, O_NONBLOCK) < 0)
		rc = err_set(RAG_EIO, "cannot start the extractor: %s", strerror(errno));
	if (!rc)
		rc = spawn(x, buf_str(&path), in, ends[1], type, name);
	x->started = clock_now();
fail:
	file_close(ends[1]);
	file_close(in);
	buf_release(&path);
	if (rc)
		extract_free(x);
	else
		*out = x;
	return rc;
}

/* Takes what is there of its standard error.  True: it is closed. */
static bool drain(struct extract *x)
{
	char block[4096];

	for (;;) {
		ssize_t n = read(x->err, block, sizeof(block));
		size_t take = 0;

		if (n < 0)
			return errno != EINTR && errno != EAGAIN;
		if (n == 0)
			return true;
		if (x->n_chatter < CHATTER - 1)
			take = CHATTER - 1 - x->n_chatter;
		if (take > (size_t)n)
			take = (size_t)n;
		memcpy(x->chatter + x->n_chatter, block, take);
		x->n_chatter += take;
	}
}

/* Text from the process, for a message: one line, valid, no escapes. */
static int clean(struct buf *out, const char *s, size_t n)
{
	int rc = utf8_repair(out, s, n, NULL);

	for (size_t i = 0; !rc && i < out->len; i++)
		if ((unsigned char)out->data[i] < 0x20 || out->data[i] == 0x7F)
			out->data[i] = ' ';
	while (!rc && out->len && out->data[out->len - 1] == ' ')
		out->data[--out->len] = 0;
	return rc;
}

static int died(struct extract *x, int status, const struct rusage *use, bool late)
{
	int sig = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;

	if (late)
		return err_set(RAG_ELIMIT, "extracting took longer than %d s", EXTRACT_WALL_S);
	if (sig == SIGXCPU)
		return err_set(RAG_ELIMIT, "extracting took longer than %d s", EXTRACT_CPU_S);
	if (sig == SIGXFSZ)
		return err_set(RAG_ELIMIT, "more than %zu MiB of text", FRAME_MAX_TEXT >> 20);
	if (code == EXTRACT_EXIT_MEMORY ||
	    (sig && (size_t)use->ru_maxrss > (EXTRACT_MEMORY >> 10) / 4 * 3))
		return err_set(RAG_ELIMIT, "extracting used more than %zu MiB", EXTRACT_MEMORY >> 20);
	if (sig)
		return err_set(RAG_EFORMAT, "extractor died: killed by signal %d", sig);
	if (code == EXTRACT_EXIT_CONFINE) {
		struct buf why = BUF_INIT;
		int rc = clean(&why, x->chatter, x->n_chatter);

		if (!rc)
			rc = err_set(RAG_EUNSUP, "%s", buf_str(&why));
		buf_release(&why);
		return rc;
	}
	return err_set(RAG_EFORMAT, "extractor died: exit code %d", code);
}

/* Waits for the end.  *ok: it ended by itself and well. */
static int await(struct extract *x, const struct progress *p, const struct progress_at *at)
{
	struct rusage use = { 0 };
	bool closed = false, late = false;
	int status = 0, rc = RAG_OK;
	pid_t got;

	for (;;) {
		struct pollfd pf = { x->err, POLLIN, 0 };

		/* Before the wait: a fast extractor's stage is seen as well. */
		rc = progress_tick(p, at->stage, at->what, at->done, at->total);
		if (rc)
			return rc;	/* extract_free() ends it */
		/* While it speaks or works its end is a hang-up; behind that, a moment. */
		poll(&pf, closed ? 0 : 1, closed ? 1 : 50);
		if (!closed)
			closed = drain(x);
		if (closed || late) {
			got = wait4(x->pid, &status, late ? 0 : WNOHANG, &use);
			if (got == x->pid || (got < 0 && errno != EINTR))
				break;
		}
		if (!late && clock_now() - x->started > EXTRACT_WALL_S) {
			kill(x->pid, SIGKILL);
			late = true;
		}
	}
	x->pid = 0;
	if (got < 0)
		return RAG_OK;	/* our host ignores SIGCHLD: the record has to speak for itself */
	if (late || !WIFEXITED(status) || WEXITSTATUS(status))
		return died(x, status, &use, late);
	return RAG_OK;
}

static int damaged(const char *what)
{
	return err_set(RAG_EFORMAT, "the extractor's record is damaged: %s", what);
}

static bool plain(const char *s, size_t n, bool lines)
{
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		if ((c < 0x20 && !(lines && c == '\n')) || c == 0x7F)
			return false;
	}
	return utf8_valid(s, n) == n;
}

static int parse_marks(struct extracted *out, const unsigned char *m, size_t len, size_t n)
{
	size_t left = len, used = 0;
	uint64_t at = 0;
	uint32_t page = 0;

	if (!n)
		return len ? damaged("bytes behind the marks") : RAG_OK;
	out->marks = mem_calloc(n, sizeof(*out->marks));
	/* All labels at once: pointers into the buffer must not move. */
	if (!out->marks || buf_reserve(&out->labels, len))
		return RAG_ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct store_mark *k = &out->marks[i];
		size_t label;

		if (left < FRAME_MARK)
			return damaged("a mark is cut");
		label = (size_t)frame_get(m + 14, 2);
		k->at = frame_get(m, 8);
		k->value = (uint32_t)frame_get(m + 8, 4);
		if (label > FRAME_MAX_LABEL || left - FRAME_MARK < label)
			return damaged("a label is too long");
		if (k->at < at || k->at > out->len ||
		    (k->at < out->len && ((unsigned char)out->text[k->at] & 0xC0) == 0x80))
			return damaged("the marks are out of order");
		at = k->at;
		if (m[12] == MARK_PAGE) {
			if (k->value <= page || label)
				return damaged("the pages are out of order");
			page = k->value;
			k->kind = STORE_PAGE;
		} else if (m[12] == MARK_HEADING && k->value >= 1 && k->value <= 6) {
			k->kind = STORE_HEADING;
		} else {
			return damaged("a mark of no kind");
		}
		if (!plain((const char *)m + FRAME_MARK, label, false))
			return damaged("a label is not text");
		memcpy(out->labels.data + used, m + FRAME_MARK, label);
		out->labels.data[used + label] = 0;
		k->text = out->labels.data + used;
		k->text_len = label;
		used += label + 1;	/* fits: a mark takes FRAME_MARK bytes of len, the NUL one */
		m += FRAME_MARK + label;
		left -= FRAME_MARK + label;
	}
	if (left)
		return damaged("bytes behind the marks");
	out->n_marks = n;
	return RAG_OK;
}

/* "key=value" lines */
static bool about_good(const char *s, size_t n)
{
	for (size_t i = 0, len; i < n; i += len + 1) {
		const char *end = memchr(s + i, '\n', n - i), *eq;

		if (!end)
			return false;
		len = (size_t)(end - s) - i;
		eq = memchr(s + i, '=', len);
		if (!eq || eq == s + i || eq + 1 == end)
			return false;
	}
	return plain(s, n, true);
}

int extracted_parse(struct extracted *out, const unsigned char *record, size_t n)
{
	size_t title, message, about, marks, text, n_marks;
	const char *s = (const char *)record;
	struct buf why = BUF_INIT;
	int64_t status;
	int rc;

	if (n < FRAME_HEAD || memcmp(record, FRAME_MAGIC, 8))
		return damaged("it is cut");
	status = (int32_t)frame_get(record + 8, 4);
	out->kind = (enum frame_kind)frame_get(record + 12, 4);
	title = (size_t)frame_get(record + 16, 4);
	message = (size_t)frame_get(record + 20, 4);
	n_marks = (size_t)frame_get(record + 24, 4);
	marks = (size_t)frame_get(record + 28, 4);
	text = (size_t)frame_get(record + 32, 8);
	about = (size_t)frame_get(record + 40, 4);
	if (out->kind >= KIND_END)
		out->kind = KIND_NONE;
	if (status > 0 || status < RAG_EDENIED || title > FRAME_MAX_TITLE || message > FRAME_MAX_MESSAGE ||
	    about > FRAME_MAX_ABOUT ||
	    n_marks > FRAME_MAX_MARKS || marks > FRAME_MAX_MARK_BYTES || text > FRAME_MAX_TEXT ||
	    n - FRAME_HEAD != title + message + about + marks + text)
		return damaged("its lengths are wrong");
	s += FRAME_HEAD;
	rc = clean(&why, s + title, message);
	if (!rc && status)
		rc = err_set((int)status, "%s", why.len ? buf_str(&why) : "cannot be extracted");
	if (!rc && why.len) {
		out->warning = buf_detach(&why);
		if (!out->warning)
			rc = RAG_ENOMEM;
	}
	buf_release(&why);
	if (rc)
		return rc;
	out->text = s + title + message + about + marks;
	out->len = text;
	if (!text || out->kind == KIND_NONE)
		return damaged("it has no text");
	if (!plain(out->text, text, true) || !plain(s, title, false))
		return damaged("its text is not text");
	if (!about_good(s + title + message, about))
		return damaged("its metadata is none");
	out->title = mem_strndup(s, title);
	out->about = mem_strndup(s + title + message, about);
	if (!out->title || !out->about)
		return RAG_ENOMEM;
	return parse_marks(out, record + FRAME_HEAD + title + message + about, marks, n_marks);
}

int extract_finish(struct extracted *out, struct extract *x, const struct progress *p,
		   const struct progress_at *at)
{
	struct file_info info;
	int rc;

	memset(out, 0, sizeof(*out));
	rc = x->pid ? await(x, p, at) : err_set(RAG_EINVAL, "extract_finish() called twice");
	if (!rc)
		rc = file_seal(x->out);
	if (!rc)
		rc = file_info_fd(&info, x->out);
	if (rc)
		return rc;
	if (info.size < FRAME_HEAD)
		return damaged("it is cut");
	out->map = mmap(NULL, (size_t)info.size, PROT_READ, MAP_PRIVATE, x->out, 0);
	if (out->map == MAP_FAILED) {
		out->map = NULL;
		return err_set(RAG_ENOMEM, "out of memory");
	}
	out->map_len = (size_t)info.size;
	return extracted_parse(out, out->map, out->map_len);
}

void extract_free(struct extract *x)
{
	if (!x)
		return;
	if (x->pid) {
		kill(x->pid, SIGKILL);
		while (waitpid(x->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	file_close(x->out);
	file_close(x->err);
	mem_free(x);
}

void extracted_release(struct extracted *e)
{
	mem_free(e->title);
	mem_free(e->about);
	mem_free(e->warning);
	mem_free(e->marks);
	buf_release(&e->labels);
	if (e->map)
		munmap(e->map, e->map_len);
	memset(e, 0, sizeof(*e));
}

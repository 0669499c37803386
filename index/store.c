#include "config.h"
#include "index/store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "index/analyze.h"
#include "index/store_impl.h"

#define MAP_LARGEST ((size_t)1 << 40)	/* only address space: the file grows as it is used */
#define MAP_SMALLEST ((size_t)16 << 20)
#define READERS_MAX 510			/* snapshots at one moment, of all processes together */
#define DBS_MAX 64			/* room for those of later formats */
#define SHORT_PAGES 16			/* see check_length() */

static const char *const db_names[DB_COUNT] = {
	"meta", "doc", "uri", "content", "hash", "owner", "text", "mark",
	"layout", "chunk", "gen", "block", "hidden", "limbo", "lack",
	"words", "words_hidden", "space", "tokens",
};

/* LMDB forbids a process to open an environment twice (its file locks belong
 * to the process), so what is open has to be known process-wide. */
static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static struct store *registry;

void (*store_kill_hook)(void);

static void kill_point(void)
{
	if (store_kill_hook)
		store_kill_hook();
}

/* ---- errors ---------------------------------------------------------------- */

/* LMDB reports a write that stopped short as EIO: was it for want of room? */
static bool no_room(const struct store *s)
{
	struct statvfs fs;
	struct rlimit lim;
	struct stat sb;
	int fd;

	if (mdb_env_get_fd(s->env, &fd) != 0)
		return false;
	if (fstatvfs(fd, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize < ((uint64_t)1 << 20))
		return true;
	return getrlimit(RLIMIT_FSIZE, &lim) == 0 && lim.rlim_cur != RLIM_INFINITY &&
	       fstat(fd, &sb) == 0 && (uint64_t)sb.st_size + ((uint64_t)1 << 20) > lim.rlim_cur;
}

int store_err(const struct store *s, int rc, const char *what)
{
	switch (rc) {
	case MDB_SUCCESS:
		return RAG_OK;
	case MDB_MAP_FULL:
		return err_set(RAG_EFULL, "%s: store '%s' is full, %zu MB mapped", what, s->dir,
			       s->map_bytes >> 20);
	case ENOSPC: case EDQUOT: case EFBIG:
		return err_set(RAG_EFULL, "%s: no room left for store '%s'", what, s->dir);
	case MDB_TXN_FULL:
		return err_set(RAG_ELIMIT, "%s: too much for one transaction", what);
	case MDB_READERS_FULL:
		return err_set(RAG_EBUSY, "%s: store '%s' has too many readers", what, s->dir);
	case MDB_MAP_RESIZED:
		return err_set(RAG_EBUSY, "%s: store '%s' has grown beyond the address space left",
			       what, s->dir);
	case MDB_CORRUPTED: case MDB_PAGE_NOTFOUND: case MDB_NOTFOUND: case MDB_BAD_VALSIZE:
		return err_set(RAG_ECORRUPT, "%s: store '%s' is corrupt: %s", what, s->dir,
			       mdb_strerror(rc));
	case ENOMEM:
		return err_set(RAG_ENOMEM, "%s: out of memory", what);
	case EACCES: case EPERM: case EROFS:
		return err_set(RAG_EDENIED, "%s: store '%s': %s", what, s->dir, strerror(rc));
	case EIO: case MDB_PANIC:
		if (no_room(s))
			return err_set(RAG_EFULL, "%s: no room left for store '%s'", what, s->dir);
		/* fall through */
	default:
		return err_set(RAG_EIO, "%s: store '%s': %s", what, s->dir, mdb_strerror(rc));
	}
}

int store_corrupt(const struct store *s, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return err_set(RAG_ECORRUPT, "store '%s' is corrupt: %s", s->dir, text);
}

/* ---- transactions ----------------------------------------------------------------- */

int tx_get(MDB_val *out, struct tx *t, enum store_db db, const void *key, size_t n)
{
	MDB_val k = { n, (void *)(uintptr_t)key };
	int rc = 0;

	if (!t->s->dbi[db])	/* of a store made before there was such a thing, which cannot be written */
		return RAG_ENOENT;
	if (t->cur) {
		if (!t->cur[db])
			rc = mdb_cursor_open(t->txn, t->s->dbi[db], &t->cur[db]);
		if (!rc)
			rc = mdb_cursor_get(t->cur[db], &k, out, MDB_SET);
	} else {
		rc = mdb_get(t->txn, t->s->dbi[db], &k, out);
	}
	return rc == MDB_NOTFOUND ? RAG_ENOENT : store_err(t->s, rc, "cannot read");
}

static int written(struct tx *t, int rc)
{
	kill_point();
	if (rc == MDB_MAP_FULL)
		t->map_full = true;
	return store_err(t->s, rc, "cannot write");
}

int tx_put(struct tx *t, enum store_db db, const void *key, size_t klen, const void *val, size_t vlen)
{
	MDB_val k = { klen, (void *)(uintptr_t)key }, v = { vlen, (void *)(uintptr_t)val };

	return written(t, mdb_put(t->txn, t->s->dbi[db], &k, &v, 0));
}

int tx_reserve(void **out, struct tx *t, enum store_db db, const void *key, size_t klen, size_t vlen)
{
	MDB_val k = { klen, (void *)(uintptr_t)key }, v = { vlen, NULL };
	int rc = written(t, mdb_put(t->txn, t->s->dbi[db], &k, &v, MDB_RESERVE));

	*out = v.mv_data;
	return rc;
}

int tx_del(struct tx *t, enum store_db db, const void *key, size_t n)
{
	MDB_val k = { n, (void *)(uintptr_t)key };
	int rc = mdb_del(t->txn, t->s->dbi[db], &k, NULL);

	return rc == MDB_NOTFOUND ? RAG_ENOENT : written(t, rc);
}

int tx_cursor(MDB_cursor **out, struct tx *t, enum store_db db)
{
	*out = NULL;
	if (!t->s->dbi[db])
		return RAG_OK;
	return store_err(t->s, mdb_cursor_open(t->txn, t->s->dbi[db], out), "cannot read");
}

int tx_seek(MDB_val *key, MDB_val *val, struct tx *t, MDB_cursor *c, MDB_cursor_op op)
{
	int rc = c ? mdb_cursor_get(c, key, val, op) : MDB_NOTFOUND;

	return rc == MDB_NOTFOUND ? RAG_ENOENT : store_err(t->s, rc, "cannot read");
}

int tx_generation(struct tx *t, enum store_db db, uint32_t gen, tx_entry_fn *fn, void *arg)
{
	MDB_cursor *c;
	uint8_t from[12];
	MDB_val key = { sizeof(from), from }, val;
	int rc = tx_cursor(&c, t, db);

	if (rc)
		return rc;
	key_gen64(from, gen, 0);
	rc = tx_seek(&key, &val, t, c, MDB_SET_RANGE);
	while (!rc && key.mv_size == 12 && codec_unkey32(key.mv_data) == gen) {
		rc = fn(arg, t, codec_unkey64((const uint8_t *)key.mv_data + 4), &val);
		if (rc)
			goto out;	/* whatever fn said, RAG_ENOENT too */
		rc = tx_seek(&key, &val, t, c, MDB_NEXT);
	}
	if (rc == RAG_ENOENT)
		rc = RAG_OK;
out:
	mdb_cursor_close(c);
	return rc;
}

void key_gen64(uint8_t out[12], uint32_t gen, uint64_t id)
{
	codec_key32(out, gen);
	codec_key64(out + 4, id);
}

void key_64_32(uint8_t out[12], uint64_t id, uint32_t part)
{
	codec_key64(out, id);
	codec_key32(out + 8, part);
}

void key_64_64(uint8_t out[16], uint64_t a, uint64_t b)
{
	codec_key64(out, a);
	codec_key64(out + 8, b);
}

/* A larger map, where neither the caller nor the address space forbids it.
 * Remapping moves what borrowed pointers point to: not while a snapshot lives. */
static bool grow(struct store *s)
{
	size_t want = s->map_bytes <= s->map_most / 2 ? s->map_bytes * 2 : s->map_most;
	bool done = false;
	void *probe;

	if (want <= s->map_bytes || pthread_rwlock_trywrlock(&s->map_lock) != 0)
		return false;
	/* LMDB gives up its old mapping before it asks for the new one, and is
	 * lost when that is refused: ask first. */
	probe = mmap(NULL, want, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (probe != MAP_FAILED) {
		munmap(probe, want);
		if (mdb_env_set_mapsize(s->env, want) == 0) {
			s->map_bytes = want;
			done = true;
		}
	}
	pthread_rwlock_unlock(&s->map_lock);
	return done;
}

/* Takes map_lock for sharing; tx_end() gives it back. */
static int tx_begin(struct tx *t, struct store *s, unsigned flags)
{
	bool checked = false;
	int rc, dead;

	memset(t, 0, sizeof(*t));
	t->s = s;
	for (;;) {
		pthread_rwlock_rdlock(&s->map_lock);
		rc = mdb_txn_begin(s->env, NULL, flags, &t->txn);
		if (rc == MDB_SUCCESS)
			return RAG_OK;
		pthread_rwlock_unlock(&s->map_lock);
		t->txn = NULL;
		if (rc == MDB_READERS_FULL && !checked) {
			checked = true;
			mdb_reader_check(s->env, &dead);
		} else if (rc != MDB_MAP_RESIZED || !grow(s)) {
			return store_err(s, rc, "cannot begin a transaction");
		}
	}
}

static void tx_end(struct tx *t)
{
	if (!t->txn)
		return;
	mdb_txn_abort(t->txn);
	t->txn = NULL;
	pthread_rwlock_unlock(&t->s->map_lock);
}

/* Pages at the file's end that a transaction took and gave back are never
 * written: make the file as long as LMDB believes it is, for check_length(). */
static void settle_length(struct store *s)
{
	MDB_envinfo info;
	MDB_stat stat;
	struct stat sb;
	uint64_t want;
	int fd;

	if (mdb_env_info(s->env, &info) || mdb_env_stat(s->env, &stat) || mdb_env_get_fd(s->env, &fd))
		return;
	want = ((uint64_t)info.me_last_pgno + 1) * stat.ms_psize;
	if (fstat(fd, &sb) == 0 && (uint64_t)sb.st_size < want && ftruncate(fd, (off_t)want) < 0)
		return;		/* no harm: the next writer tries again */
}

uint64_t store_disk_bytes(const struct store *s)
{
	struct stat sb;
	int fd;

	if (mdb_env_get_fd(s->env, &fd) || fstat(fd, &sb) < 0)
		return 0;
	return (uint64_t)sb.st_blocks * 512;
}

static int tx_commit(struct tx *t)
{
	struct store *s = t->s;
	int rc;

	kill_point();
	rc = mdb_txn_commit(t->txn);
	t->txn = NULL;
	if (rc == MDB_SUCCESS)
		settle_length(s);
	pthread_rwlock_unlock(&s->map_lock);
	if (rc == MDB_MAP_FULL)
		t->map_full = true;
	rc = store_err(s, rc, "cannot commit");
	kill_point();
	return rc;
}

int store_txn(struct store *s, int (*fn)(struct tx *t, void *arg), void *arg)
{
	struct tx t;
	int rc;

	do {
		rc = tx_begin(&t, s, 0);
		if (rc)
			return rc;
		rc = state_load(&t);
		if (!rc)
			rc = fn(&t, arg);
		if (!rc)
			rc = state_save(&t);
		if (!rc)
			rc = tx_commit(&t);
		tx_end(&t);
	} while (rc && t.map_full && grow(s));
	return rc;
}

int store_snap(struct store_snap **out, struct store *s)
{
	struct store_snap *v = mem_calloc(1, sizeof(*v));
	int rc;

	if (!v)
		return RAG_ENOMEM;
	rc = tx_begin(&v->tx, s, MDB_RDONLY);
	v->tx.cur = v->cur;
	if (!rc)
		rc = state_load(&v->tx);
	if (rc)
		goto fail;
	*out = v;
	return RAG_OK;
fail:
	store_snap_end(v);
	return rc;
}

void store_snap_end(struct store_snap *v)
{
	if (!v)
		return;
	for (int i = 0; i < DB_COUNT; i++)
		if (v->cur[i])
			mdb_cursor_close(v->cur[i]);
	tx_end(&v->tx);
	mem_free(v);
}

/* ---- open and close ---------------------------------------------------------------------- */

static void store_free(struct store *s)
{
	if (!s)
		return;
	if (s->env)
		mdb_env_close(s->env);
	pthread_rwlock_destroy(&s->map_lock);
	pthread_mutex_destroy(&s->seen_lock);
	mem_free(s->seen);
	mem_free(s->lock_path);
	mem_free(s->dir);
	mem_free(s);
}

static int env_try(struct store *s, unsigned flags, size_t map)
{
	MDB_envinfo info;
	int rc = mdb_env_create(&s->env);

	if (!rc)
		rc = mdb_env_set_maxdbs(s->env, DBS_MAX);
	if (!rc)
		rc = mdb_env_set_maxreaders(s->env, READERS_MAX);
	if (!rc)
		rc = mdb_env_set_mapsize(s->env, map);
	if (!rc)
		rc = mdb_env_open(s->env, s->dir, flags | MDB_NOTLS, 0644);
	if (!rc)
		rc = mdb_env_info(s->env, &info);
	if (rc) {
		mdb_env_close(s->env);	/* as LMDB wants it after a failed open */
		s->env = NULL;
	} else {
		s->map_bytes = info.me_mapsize;	/* more, where the file is larger already */
	}
	return rc;
}

static int env_open(struct store *s, const struct store_opts *o)
{
	/* Not writable: for reading; and where not even the table of readers can be
	 * written, nobody else can write there either, or it is on their own risk. */
	static const unsigned ways[] = { 0, MDB_RDONLY, MDB_RDONLY | MDB_NOLOCK };
	size_t largest = MAP_LARGEST;
	struct rlimit lim;
	int rc = 0;

	if (getrlimit(RLIMIT_AS, &lim) == 0 && lim.rlim_cur != RLIM_INFINITY && lim.rlim_cur / 4 < largest)
		largest = (size_t)(lim.rlim_cur / 4) & ~(MAP_SMALLEST - 1);	/* the models want room too */
	if (largest < MAP_SMALLEST)
		largest = MAP_SMALLEST;
	s->map_most = o->map_bytes ? o->map_bytes : MAP_LARGEST;
	if (o->map_first || o->map_bytes)
		largest = o->map_first && o->map_first < s->map_most ? o->map_first : s->map_most;
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		size_t map = largest;

		s->read_only = ways[i] != 0;
		rc = env_try(s, ways[i], map);
		while ((rc == ENOMEM || rc == EINVAL || rc == EFBIG) && map > MAP_SMALLEST) {
			map /= 2;
			rc = env_try(s, ways[i], map);
		}
		if (rc != EACCES && rc != EPERM && rc != EROFS)
			break;
	}
	switch (rc) {
	case 0:
		return RAG_OK;
	case ENOENT:
		return err_set(RAG_ENOENT, "no store in '%s'", s->dir);
	case ENOTDIR: case MDB_INVALID: case MDB_VERSION_MISMATCH: case EISDIR:
		return err_set(RAG_EFORMAT, "'%s' is not a ragstone store", s->dir);
	case EACCES: case EPERM: case EROFS:
		return err_set(RAG_EDENIED, "cannot open store '%s': %s", s->dir, strerror(rc));
	case ENOMEM:
		return err_set(RAG_ENOMEM, "cannot open store '%s': no address space", s->dir);
	case ENOSPC: case EDQUOT: case EFBIG:
		return err_set(RAG_EFULL, "cannot open store '%s': %s", s->dir, strerror(rc));
	default:
		return err_set(RAG_EIO, "cannot open store '%s': %s", s->dir, mdb_strerror(rc));
	}
}

/*
 * A file that was cut short would raise SIGBUS when its lost pages are touched.
 * A few pages may rightly be missing for the moment between a commit and
 * settle_length(), or after a crash in between.
 */
static int check_length(struct store *s)
{
	MDB_envinfo info;
	MDB_stat stat;
	struct stat sb;
	uint64_t want, slack;
	int fd, rc;

	if ((rc = mdb_env_info(s->env, &info)) || (rc = mdb_env_stat(s->env, &stat)) ||
	    (rc = mdb_env_get_fd(s->env, &fd)))
		return store_err(s, rc, "cannot open");
	want = ((uint64_t)info.me_last_pgno + 1) * stat.ms_psize;
	slack = (uint64_t)SHORT_PAGES * stat.ms_psize;
	if (fstat(fd, &sb) < 0)
		return store_err(s, errno, "cannot open");
	if ((uint64_t)sb.st_size + slack < want || (s->read_only && (uint64_t)sb.st_size < want))
		return store_corrupt(s, "cut short, %llu of %llu bytes", (unsigned long long)sb.st_size,
				     (unsigned long long)want);
	if ((uint64_t)sb.st_size < want)
		settle_length(s);
	return RAG_OK;
}

static int random_uuid(uint8_t out[STORE_UUID_LEN])
{
	int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, out, STORE_UUID_LEN);

	if (fd >= 0)
		close(fd);
	if (n != STORE_UUID_LEN)
		return err_set(RAG_EIO, "cannot read '/dev/urandom'");
	out[6] = (uint8_t)((out[6] & 0x0f) | 0x40);	/* version 4, RFC 9562 */
	out[8] = (uint8_t)((out[8] & 0x3f) | 0x80);
	return RAG_OK;
}

/* A handle of 0 stands for a database of later programs that is not there. */
static int dbs_open(struct tx *t, unsigned flags)
{
	int rc = 0;

	for (int i = 0; !rc && i < DB_COUNT; i++) {
		rc = mdb_dbi_open(t->txn, db_names[i], flags, &t->s->dbi[i]);
		if (rc == MDB_NOTFOUND && i >= DB_LATER) {
			t->s->dbi[i] = 0;
			rc = 0;
		}
	}
	return rc;
}

/* What older programs knew nothing of, empty.  Where there is no room for it, readers go without. */
static int add_later(struct store *s)
{
	struct tx t;
	int rc = RAG_OK;

	for (int i = DB_LATER; i < DB_COUNT; i++)
		if (!s->dbi[i])
			rc = 1;
	if (!rc || s->read_only)
		return RAG_OK;
	rc = tx_begin(&t, s, 0);
	if (rc)
		return rc;
	rc = store_err(s, dbs_open(&t, MDB_CREATE), "cannot open");
	if (!rc)
		rc = tx_commit(&t);
	tx_end(&t);
	if (rc)
		memset(s->dbi + DB_LATER, 0, sizeof(s->dbi) - DB_LATER * sizeof(s->dbi[0]));
	return rc == RAG_EFULL ? RAG_OK : rc;
}

/* Databases, generation 1 without an embedder, state: in one transaction. */
static int create(struct store *s)
{
	struct buf b = BUF_INIT;
	const uint8_t no_print[HASH_LEN] = { 0 };
	uint8_t key[4];
	MDB_stat stat;
	struct tx t;
	int rc = tx_begin(&t, s, 0);

	if (rc)
		return rc;
	rc = store_err(s, mdb_env_stat(s->env, &stat), "cannot create");
	if (rc || stat.ms_entries) {	/* another process was faster */
		tx_end(&t);
		return rc;
	}
	rc = store_err(s, dbs_open(&t, MDB_CREATE), "cannot create");
	t.st = (struct store_state){ .format = STORE_FORMAT, .generation = 1, .next_doc = 1, .next_content = 1,
				     .next_chunk = 1, .next_block = 1 };
	t.st.created = (uint64_t)time(NULL);
	if (!rc)
		rc = random_uuid(t.st.uuid);
	codec_key32(key, 1);
	if (!rc)
		rc = codec_add32(&b, 0);
	if (!rc)
		rc = buf_add(&b, no_print, sizeof(no_print));
	if (!rc)
		rc = codec_addstr(&b, "", 0);
	if (!rc)
		rc = codec_addstr(&b, "", 0);
	if (!rc)
		rc = codec_seal(&b, 0);
	if (!rc)
		rc = tx_put(&t, DB_GEN, key, sizeof(key), b.data, b.len);
	if (!rc)
		rc = words_state_put(&t, &(struct words_state){ STORE_WORDS_INIT, ANALYZE_VERSION, 0, 0 });
	if (!rc)
		rc = state_save(&t);
	if (!rc)
		rc = tx_commit(&t);
	tx_end(&t);
	buf_release(&b);
	return rc;
}

/* 1: the environment is empty, nothing was ever created in it. */
static int attach(struct store *s)
{
	struct tx t;
	MDB_stat stat;
	int rc = tx_begin(&t, s, MDB_RDONLY);

	if (rc)
		return rc;
	rc = mdb_env_stat(s->env, &stat);
	if (!rc && stat.ms_entries == 0) {
		tx_end(&t);
		return 1;
	}
	if (!rc)
		rc = mdb_dbi_open(t.txn, db_names[DB_META], 0, &s->dbi[DB_META]);
	if (rc == MDB_NOTFOUND || rc == MDB_INCOMPATIBLE)
		rc = err_set(RAG_EFORMAT, "'%s' is not a ragstone store", s->dir);
	else if (rc)
		rc = store_err(s, rc, "cannot open");
	else
		rc = state_load(&t);
	if (!rc)
		rc = store_err(s, dbs_open(&t, 0), "cannot open");
	if (!rc)
		/* handles outlive a reading transaction only when it is committed */
		rc = store_err(s, mdb_txn_commit(t.txn), "cannot open");
	else
		mdb_txn_abort(t.txn);
	pthread_rwlock_unlock(&s->map_lock);
	return rc;
}

static struct store *find(const char *dir)
{
	char path[PATH_MAX];
	struct stat sb;

	if (snprintf(path, sizeof(path), "%s/data.mdb", dir) >= (int)sizeof(path) || stat(path, &sb) < 0)
		return NULL;
	for (struct store *s = registry; s; s = s->next)
		if (s->dev == sb.st_dev && s->ino == sb.st_ino && s->pid == getpid())
			return s;
	return NULL;
}

static int lock_name(struct store *s)
{
	static const char name[] = "/writer.lock";
	char path[PATH_MAX + sizeof(name)];

	if (!realpath(s->dir, path))
		return err_set(RAG_EIO, "cannot open store '%s': %s", s->dir, strerror(errno));
	memcpy(path + strlen(path), name, sizeof(name));
	s->lock_path = mem_strdup(path);
	return s->lock_path ? RAG_OK : RAG_ENOMEM;
}

/* LMDB's first write is two pages.  Where there was no room for them a part stays, which is
 * no store and no empty one: with room again it would be refused. */
static void drop_stub(const char *path)
{
	struct stat sb;

	if (stat(path, &sb) == 0 && sb.st_size < 2 * sysconf(_SC_PAGESIZE) && truncate(path, 0) < 0)
		return;		/* as it was; the error that led here is the one to tell */
}

static int open_new(struct store **out, const char *dir, const struct store_opts *o)
{
	struct store *s = mem_calloc(1, sizeof(*s));
	char path[PATH_MAX];
	struct stat sb;
	int rc, fd, dead;
	bool fresh;

	if (!s)
		return RAG_ENOMEM;
	pthread_rwlock_init(&s->map_lock, NULL);
	pthread_mutex_init(&s->seen_lock, NULL);
	s->refs = 1;
	s->pid = getpid();
	s->dir = mem_strdup(dir);
	snprintf(path, sizeof(path), "%s/data.mdb", dir);	/* fits, check_dir() saw it */
	fresh = stat(path, &sb) < 0 || sb.st_size == 0;
	rc = s->dir ? env_open(s, o) : RAG_ENOMEM;
	if (rc == RAG_EFULL && fresh)
		drop_stub(path);
	if (!rc)
		rc = lock_name(s);
	if (!rc)
		rc = check_length(s);
	if (rc)
		goto fail;
	mdb_reader_check(s->env, &dead);	/* places of readers that were killed */
	rc = attach(s);
	if (rc == 1 && s->read_only)
		rc = err_set(RAG_ENOENT, "no store in '%s'", dir);
	else if (rc == 1 && !o->create)
		rc = err_set(RAG_ENOENT, "no store in '%s'", dir);
	if (rc == 1) {
		rc = create(s);
		if (!rc)
			rc = attach(s);
	}
	if (!rc)
		rc = add_later(s);
	if (!rc && (mdb_env_get_fd(s->env, &fd) || fstat(fd, &sb) < 0))
		rc = err_set(RAG_EIO, "cannot open store '%s'", dir);
	if (rc)
		goto fail;
	s->dev = sb.st_dev;
	s->ino = sb.st_ino;
	s->next = registry;
	registry = s;
	*out = s;
	return RAG_OK;
fail:
	store_free(s);
	return rc;
}

/* Is there a place for a store, or one? */
static int check_dir(const char *dir, bool create_it)
{
	char path[PATH_MAX];
	struct stat sb;

	if (snprintf(path, sizeof(path), "%s/data.mdb", dir) >= (int)sizeof(path))
		return err_set(RAG_EINVAL, "name of a store too long");
	if (stat(dir, &sb) == 0) {
		if (!S_ISDIR(sb.st_mode))
			return err_set(RAG_EFORMAT, "'%s' is not a ragstone store", dir);
	} else if (errno != ENOENT) {
		return err_set(errno == EACCES ? RAG_EDENIED : RAG_EIO, "cannot open store '%s': %s", dir,
			       strerror(errno));
	} else if (create_it && mkdir(dir, 0777) < 0 && errno != EEXIST) {
		return err_set(errno == ENOSPC || errno == EDQUOT ? RAG_EFULL :
			       errno == EACCES || errno == EROFS ? RAG_EDENIED : RAG_EIO,
			       "cannot make directory '%s': %s", dir, strerror(errno));
	}
	if (!create_it && stat(path, &sb) < 0)	/* LMDB would leave its files there */
		return errno == EACCES
			? err_set(RAG_EDENIED, "cannot open store '%s': %s", dir, strerror(errno))
			: err_set(RAG_ENOENT, "no store in '%s'", dir);
	return RAG_OK;
}

int store_open(struct store **out, const char *dir, const struct store_opts *opts)
{
	const struct store_opts none = STORE_OPTS_INIT;
	struct store *s;
	int rc;

	*out = NULL;
	if (!opts)
		opts = &none;
	if (!dir || !*dir)
		return err_set(RAG_EINVAL, "a store needs a directory");
	pthread_mutex_lock(&registry_lock);
	s = find(dir);
	if (s) {
		s->refs++;
		*out = s;
		rc = RAG_OK;
	} else {
		rc = check_dir(dir, opts->create);
		if (!rc)
			rc = open_new(out, dir, opts);
	}
	pthread_mutex_unlock(&registry_lock);
	return rc;
}

void store_close(struct store *s)
{
	struct store **p;

	if (!s)
		return;
	pthread_mutex_lock(&registry_lock);
	if (--s->refs == 0) {
		for (p = &registry; *p && *p != s; p = &(*p)->next)
			;
		if (*p)
			*p = s->next;
		store_free(s);
	}
	pthread_mutex_unlock(&registry_lock);
}

const char *store_dir(const struct store *s)
{
	return s->dir;
}

//! What librdkafka can and its Rust wrapper cannot: messages by the batch with their leaders' epochs, topics' ids, ends
//! of many partitions at a time, and positions with a leader epoch.
//!
//! This is the only module with `unsafe` code. Its proofs rest on librdkafka's documentation (`rdkafka.h`): all calls
//! used are thread-safe; a queue or a message keeps what it needs of its client alive; whoever is given a pointer
//! destroys it by the function named beside it. The client outlives all of it here, since each type holds it.
#![expect(
    unsafe_code,
    reason = "the wrapper lacks these calls; each use is proven beside it"
)]

use std::{
    collections::HashMap,
    ffi::{CStr, CString, c_char, c_void},
    os::raw::c_int,
    ptr::{self, NonNull},
    slice,
    sync::Arc,
    time::Duration,
};

use rdkafka::{
    Offset, TopicPartitionList, bindings as sys,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext},
    types::RDKafkaErrorCode,
};
use uuid::Uuid;

use super::{Message, Partition};

/// The most messages taken at a time.
const BATCH_MESSAGES_MAX: usize = 1_000;

/// The errors of a partition that are told from others.
const KNOWN_ERRORS: [RDKafkaErrorCode; 7] = [
    RDKafkaErrorCode::AutoOffsetReset,
    RDKafkaErrorCode::OffsetOutOfRange,
    RDKafkaErrorCode::LogTruncation,
    RDKafkaErrorCode::TopicAuthorizationFailed,
    RDKafkaErrorCode::UnknownTopic,
    RDKafkaErrorCode::UnknownTopicOrPartition,
    RDKafkaErrorCode::UnknownPartition,
];

/// The most headers of a message that are looked at; Kafka knows no limit but a message's size.
const HEADERS_MAX: usize = 1_000;

/// A queue that partitions' messages are led into, so that they are taken by the batch, and none while nobody wants any.
pub(super) struct MessageQueue<C: ConsumerContext + 'static> {
    queue: NonNull<sys::rd_kafka_queue_t>,
    /// Declared behind what it keeps alive.
    consumer: Arc<BaseConsumer<C>>,
}

// SAFETY: librdkafka's queues may be used from any thread, and are reference-counted under locks.
unsafe impl<C: ConsumerContext + 'static> Send for MessageQueue<C> {}

/// One of a batch: a message, a partition's end, or an error.
pub(super) enum Delivered<'a> {
    Message(Message<'a>),
    /// The partition ends at this offset.
    End(u64),
    Error(RDKafkaErrorCode, String),
}

impl<C: ConsumerContext + 'static> MessageQueue<C> {
    /// A queue of the consumer's.
    pub(super) fn new(consumer: Arc<BaseConsumer<C>>) -> Self {
        // SAFETY: the client is alive, since `consumer` is held. `rd_kafka_queue_new` gives a new queue, never null
        // (it aborts where memory ends); it is destroyed in `drop`.
        let queue = unsafe { sys::rd_kafka_queue_new(consumer.client().native_ptr()) };
        Self {
            queue: NonNull::new(queue).expect("librdkafka gives a queue or aborts"),
            consumer,
        }
    }

    /// Leads a partition's messages into this queue, from its next start on. A start keeps what the application leads.
    ///
    /// # Errors
    /// A partition that the client does not take.
    pub(super) fn lead(&self, topic: &str, partition: i32) -> Result<(), RDKafkaErrorCode> {
        let topic = CString::new(topic).map_err(|_| RDKafkaErrorCode::InvalidArgument)?;
        // SAFETY: the client and both queues are alive; the string ends in a zero byte and outlives the call. The
        // partition's queue is given with a reference of ours, which is given back right after.
        unsafe {
            let native = self.consumer.client().native_ptr();
            let queue = sys::rd_kafka_queue_get_partition(native, topic.as_ptr(), partition);
            if queue.is_null() {
                return Err(RDKafkaErrorCode::UnknownPartition);
            }
            sys::rd_kafka_queue_forward(queue, self.queue.as_ptr());
            sys::rd_kafka_queue_destroy(queue);
        }
        Ok(())
    }

    /// Takes a batch after at most `wait`: each of it goes to `take` with its topic's name and partition.
    pub(super) fn batch(&self, wait: Duration, mut take: impl FnMut(&CStr, i32, Delivered<'_>)) {
        let mut wait = c_int::try_from(wait.as_millis()).unwrap_or(c_int::MAX);
        let mut headers = Vec::new();
        for _ in 0..BATCH_MESSAGES_MAX {
            // `rd_kafka_consume_batch_queue` would take a partition's end for a message, and go on behind it after the
            // next change of the group: a record would be lost.
            // SAFETY: the queue is alive; a message that is given is ours to destroy.
            let native = unsafe { sys::rd_kafka_consume_queue(self.queue.as_ptr(), wait) };
            if native.is_null() {
                return;
            }
            wait = 0;
            OwnedMessage(native).deliver(&mut headers, &mut take);
        }
    }
}

/// The first offset that a partition holds and that of what comes next, as the client last heard by fetching from it.
pub(super) fn held_offsets<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partition: i32,
) -> Option<(u64, u64)> {
    let topic = CString::new(topic).ok()?;
    let (mut first, mut end) = (-1, -1);
    // SAFETY: the client is alive; the string ends in a zero byte; both places are ours and written during the call only.
    let code = unsafe {
        let native = consumer.client().native_ptr();
        sys::rd_kafka_get_watermark_offsets(
            native,
            topic.as_ptr(),
            partition,
            &raw mut first,
            &raw mut end,
        )
    };
    if code != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
        return None;
    }
    // Negative where it never heard.
    Some((u64::try_from(first).ok()?, u64::try_from(end).ok()?))
}

impl<C: ConsumerContext + 'static> Drop for MessageQueue<C> {
    fn drop(&mut self) {
        // SAFETY: made in `new`, destroyed once, while the client is alive.
        unsafe { sys::rd_kafka_queue_destroy(self.queue.as_ptr()) };
    }
}

impl<C: ConsumerContext + 'static> std::fmt::Debug for MessageQueue<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MessageQueue").finish_non_exhaustive()
    }
}

/// A message that a batch gave us.
struct OwnedMessage(*mut sys::rd_kafka_message_t);

impl OwnedMessage {
    fn deliver(
        &self,
        headers: &mut Vec<(&'static [u8], Option<&'static [u8]>)>,
        take: &mut impl FnMut(&CStr, i32, Delivered<'_>),
    ) {
        let place = self.0;
        // SAFETY: the pointer is not null, and the message lives until `drop`; nothing changes it meanwhile. The
        // fields are read one by one: a broker's newer error code is no value of the binding's enumeration, and is
        // read as the number that it is.
        let (error, topic, partition, offset, value, value_length, key, key_length) = unsafe {
            (
                (&raw const (*place).err).cast::<i32>().read(),
                (*place).rkt,
                (*place).partition,
                (*place).offset,
                (*place).payload,
                (*place).len,
                (*place).key,
                (*place).key_len,
            )
        };
        let topic = if topic.is_null() {
            c""
        } else {
            // SAFETY: a topic's name ends in a zero byte and lives as long as the topic, which the message holds.
            unsafe { CStr::from_ptr(sys::rd_kafka_topic_name(topic)) }
        };
        let offset = u64::try_from(offset).unwrap_or(0);
        let delivered = if error == RDKafkaErrorCode::NoError as i32 {
            headers.clear();
            self.headers(headers);
            // SAFETY: the message lives until `drop`. Its epoch is −1 where there is none.
            let epoch = unsafe { sys::rd_kafka_message_leader_epoch(place) };
            Delivered::Message(Message {
                offset,
                leader_epoch: (epoch >= 0).then_some(epoch),
                // SAFETY: librdkafka gives null or the start of as many bytes, which live as the message does.
                value: unsafe { bytes(value, value_length) },
                // SAFETY: as of the value.
                key: unsafe { bytes(key, key_length) },
                timestamp_ms: self.timestamp_ms(),
                headers,
            })
        } else if error == RDKafkaErrorCode::PartitionEOF as i32 {
            Delivered::End(offset)
        } else {
            let code = KNOWN_ERRORS
                .into_iter()
                .find(|code| *code as i32 == error)
                .unwrap_or(RDKafkaErrorCode::Unknown);
            // SAFETY: of an error the value is its text, and lives as the message does.
            let reason = unsafe { bytes(value, value_length) };
            let reason = reason.map_or_else(
                || format!("error {error}"),
                |text| String::from_utf8_lossy(text).into_owned(),
            );
            Delivered::Error(code, reason)
        };
        take(topic, partition, delivered);
        headers.clear();
    }

    fn timestamp_ms(&self) -> Option<i64> {
        let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message lives until `drop`; `kind` is ours to write.
        let at_ms = unsafe { sys::rd_kafka_message_timestamp(self.0, &raw mut kind) };
        let is_told = kind != sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        (is_told && at_ms >= 0).then_some(at_ms)
    }

    /// The headers. The lifetime is the message's: `deliver` clears them before it ends.
    fn headers(&self, into: &mut Vec<(&'static [u8], Option<&'static [u8]>)>) {
        let mut headers = ptr::null_mut();
        // SAFETY: the message lives until `drop`; the headers that are given stay its own.
        let error = unsafe { sys::rd_kafka_message_headers(self.0, &raw mut headers) };
        if error != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return;
        }
        for index in 0..HEADERS_MAX {
            let mut name: *const c_char = ptr::null();
            let mut value: *const c_void = ptr::null();
            let mut length = 0;
            // SAFETY: the headers live as the message does; all three places are ours to write. An index past the
            // last gives an error and writes nothing.
            let error = unsafe {
                sys::rd_kafka_header_get_all(
                    headers,
                    index,
                    &raw mut name,
                    &raw mut value,
                    &raw mut length,
                )
            };
            if error != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR || name.is_null() {
                return;
            }
            // SAFETY: the name ends in a zero byte; name and value live as the message does, and what is made of them
            // here is gone before it: `deliver` hands them on for the time of a call only, and clears them.
            let (name, value) = unsafe { (CStr::from_ptr(name), bytes(value, length)) };
            into.push((name.to_bytes(), value));
        }
    }
}

impl Drop for OwnedMessage {
    fn drop(&mut self) {
        // SAFETY: it came from a batch, and is destroyed once.
        unsafe { sys::rd_kafka_message_destroy(self.0) };
    }
}

/// The bytes at a place; `None` where it is null.
///
/// # Safety
/// The place is null, or the start of `length` bytes that nothing changes during `'a`.
unsafe fn bytes<'a>(place: *const c_void, length: usize) -> Option<&'a [u8]> {
    let place = NonNull::new(place.cast_mut().cast::<u8>())?;
    // SAFETY: the caller's promise.
    Some(unsafe { slice::from_raw_parts(place.as_ptr(), length) })
}

/// Says of which leader epoch the record before a listed partition's offset was, so that librdkafka asks the broker
/// whether its log still agrees.
pub(super) fn set_leader_epoch(
    list: &TopicPartitionList,
    topic: &str,
    partition: i32,
    leader_epoch: i32,
) {
    let Ok(topic) = CString::new(topic) else {
        return;
    };
    // SAFETY: the list is alive and ours alone; the element that is found is part of it.
    unsafe {
        let element =
            sys::rd_kafka_topic_partition_list_find(list.ptr(), topic.as_ptr(), partition);
        if !element.is_null() {
            sys::rd_kafka_topic_partition_set_leader_epoch(element, leader_epoch);
        }
    }
}

/// Whether the client is a member of its group, or on the way in: it drops the member's id as it leaves.
pub(super) fn is_member<C: ConsumerContext>(consumer: &BaseConsumer<C>) -> bool {
    let client = consumer.client().native_ptr();
    // SAFETY: the client is alive by `consumer`. The text is null or ends in a zero byte; it is ours, read while it
    // lives, and given back once.
    unsafe {
        let id = sys::rd_kafka_memberid(client);
        if id.is_null() {
            return false;
        }
        let is_member = !CStr::from_ptr(id).is_empty();
        sys::rd_kafka_mem_free(client, id.cast());
        is_member
    }
}

/// A topic's id, or why there is none.
pub(super) type TopicId = Result<Option<Uuid>, RDKafkaErrorCode>;

/// The ids of topics, in their order; `None` for one that the broker tells none of.
///
/// # Errors
/// The call's own error, as when no broker answers in time.
pub(super) fn topic_ids<C: ConsumerContext + 'static>(
    consumer: &BaseConsumer<C>,
    names: &[String],
    timeout: Duration,
) -> Result<Vec<TopicId>, RDKafkaErrorCode> {
    let texts: Vec<CString> = names
        .iter()
        .map(|name| CString::new(name.as_str()).unwrap_or_default())
        .collect();
    let mut pointers: Vec<*const c_char> = texts.iter().map(|text| text.as_ptr()).collect();
    // SAFETY: the client is alive by `consumer`, the collection until it is destroyed at the end, and the texts longer
    // than the collection, which copies them. The event that is read is alive.
    unsafe {
        let client = consumer.client().native_ptr();
        let topics =
            sys::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), names.len());
        let ids = answer(
            client,
            sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
            timeout,
            |options, queue| sys::rd_kafka_DescribeTopics(client, topics, options, queue),
            |event| ids_of(event, names),
        );
        sys::rd_kafka_TopicCollection_destroy(topics);
        ids
    }
}

/// The ends of partitions, in their order: the offsets of what comes next, behind transactions that are open, too.
///
/// # Errors
/// The call's own error, as when no broker answers in time, or the first of a partition's.
pub(super) fn ends<C: ConsumerContext + 'static>(
    consumer: &BaseConsumer<C>,
    partitions: &[Partition],
    timeout: Duration,
) -> Result<Vec<u64>, RDKafkaErrorCode> {
    let mut asked = TopicPartitionList::with_capacity(partitions.len());
    for one in partitions {
        // Its number is that of the question for the end.
        let added = asked.add_partition_offset(&one.topic, one.number, Offset::End);
        added.map_err(|_| RDKafkaErrorCode::InvalidArgument)?;
    }
    // SAFETY: the client is alive by `consumer`, and the list, which is ours, is copied by the call. The event that is
    // read is alive.
    let ends = unsafe {
        let client = consumer.client().native_ptr();
        answer(
            client,
            sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTOFFSETS,
            timeout,
            |options, queue| sys::rd_kafka_ListOffsets(client, asked.ptr(), options, queue),
            |event| ends_of(event),
        )?
    };
    let end = |one: &Partition| {
        ends.get(&(one.topic.as_bytes().to_vec(), one.number))
            .copied()
    };
    let ends = partitions.iter().map(end).collect::<Option<_>>();
    ends.ok_or(RDKafkaErrorCode::UnknownPartition)
}

/// What is read of the answer to a question, which is destroyed then.
///
/// # Safety
/// The client is alive.
unsafe fn answer<T>(
    client: *mut sys::rd_kafka_t,
    question: sys::rd_kafka_admin_op_t,
    timeout: Duration,
    ask: impl FnOnce(*const sys::rd_kafka_AdminOptions_t, *mut sys::rd_kafka_queue_t),
    read: impl FnOnce(*mut sys::rd_kafka_event_t) -> Result<T, RDKafkaErrorCode>,
) -> Result<T, RDKafkaErrorCode> {
    let timeout = c_int::try_from(timeout.as_millis()).unwrap_or(c_int::MAX);
    // SAFETY: the client is alive. Options and queue are made here and destroyed at the end, after the event.
    unsafe {
        let options = sys::rd_kafka_AdminOptions_new(client, question);
        let mut message = [0; 256];
        sys::rd_kafka_AdminOptions_set_request_timeout(
            options,
            timeout,
            message.as_mut_ptr(),
            message.len(),
        );
        let queue = sys::rd_kafka_queue_new(client);
        ask(options, queue);
        let event = sys::rd_kafka_queue_poll(queue, timeout);
        let answer = if event.is_null() {
            Err(RDKafkaErrorCode::OperationTimedOut)
        } else {
            match sys::rd_kafka_event_error(event) {
                sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => read(event),
                error => Err(error.into()),
            }
        };
        sys::rd_kafka_event_destroy(event);
        sys::rd_kafka_queue_destroy(queue);
        sys::rd_kafka_AdminOptions_destroy(options);
        answer
    }
}

/// The ends that an event tells, by the topics' names and the partitions' numbers.
///
/// # Safety
/// The event is alive and not null.
unsafe fn ends_of(
    event: *mut sys::rd_kafka_event_t,
) -> Result<HashMap<(Vec<u8>, i32), u64>, RDKafkaErrorCode> {
    // SAFETY: the event is alive, and all that is read here is part of it. A broker's newer error code is no value of
    // the binding's enumeration, and is read as the number that it is.
    unsafe {
        let result = sys::rd_kafka_event_ListOffsets_result(event);
        if result.is_null() {
            return Err(RDKafkaErrorCode::Fail);
        }
        let mut count = 0;
        let infos = sys::rd_kafka_ListOffsets_result_infos(result, &raw mut count);
        let mut ends = HashMap::with_capacity(count);
        for index in 0..count {
            let place = sys::rd_kafka_ListOffsetsResultInfo_topic_partition(*infos.add(index));
            if (&raw const (*place).err).cast::<i32>().read() != RDKafkaErrorCode::NoError as i32 {
                return Err(RDKafkaErrorCode::UnknownPartition);
            }
            let topic = CStr::from_ptr((*place).topic).to_bytes().to_vec();
            let end = u64::try_from((*place).offset).map_err(|_| RDKafkaErrorCode::NoOffset)?;
            ends.insert((topic, (*place).partition), end);
        }
        Ok(ends)
    }
}

/// The ids that an event tells of the named topics.
///
/// # Safety
/// The event is alive and not null.
unsafe fn ids_of(
    event: *mut sys::rd_kafka_event_t,
    names: &[String],
) -> Result<Vec<TopicId>, RDKafkaErrorCode> {
    // SAFETY: the event is alive, and all that is read here is part of it.
    unsafe {
        let result = sys::rd_kafka_event_DescribeTopics_result(event);
        if result.is_null() {
            return Err(RDKafkaErrorCode::Fail);
        }
        let mut count = 0;
        let topics = sys::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        let mut ids = vec![Err(RDKafkaErrorCode::UnknownTopicOrPartition); names.len()];
        for index in 0..count {
            let topic = *topics.add(index);
            let name = CStr::from_ptr(sys::rd_kafka_TopicDescription_name(topic));
            let place = names
                .iter()
                .position(|one| one.as_bytes() == name.to_bytes());
            let error = sys::rd_kafka_TopicDescription_error(topic);
            let Some(place) = place else { continue };
            ids[place] = match sys::rd_kafka_error_code(error) {
                sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => {
                    let id = sys::rd_kafka_TopicDescription_topic_id(topic);
                    Ok((!id.is_null())
                        .then(|| uuid_of(id))
                        .filter(|id| !id.is_nil()))
                }
                error => Err(error.into()),
            };
        }
        Ok(ids)
    }
}

/// # Safety
/// The id is alive and not null.
unsafe fn uuid_of(id: *const sys::rd_kafka_Uuid_t) -> Uuid {
    // SAFETY: the caller's promise.
    let (high, low) = unsafe {
        (
            sys::rd_kafka_Uuid_most_significant_bits(id),
            sys::rd_kafka_Uuid_least_significant_bits(id),
        )
    };
    Uuid::from_u64_pair(high as u64, low as u64)
}

import org.apache.flume.Channel;
import org.apache.flume.Context;
import org.apache.flume.EventDeliveryException;
import org.apache.flume.Transaction;
import org.apache.flume.conf.Configurable;
import org.apache.flume.sink.AbstractSink;

/**
 * Takes events and drops them, as Flume's null sink does, but never says that it wants to rest: the
 * null sink does so whenever its batch is not full, and is then called again after 1 to 5 s, in which
 * the channel of a fast source gets full. A channel waits for an event by itself.
 */
public class WakefulNullSink extends AbstractSink implements Configurable {
  private int batchSize;

  @Override
  public void configure(Context context) {
    batchSize = context.getInteger("batchSize", 100);
  }

  @Override
  public Status process() throws EventDeliveryException {
    Channel channel = getChannel();
    Transaction transaction = channel.getTransaction();
    transaction.begin();
    try {
      for (int taken = 0; taken < batchSize && channel.take() != null; taken++) { }
      transaction.commit();
      return Status.READY;
    } catch (Throwable failure) {
      transaction.rollback();
      throw new EventDeliveryException("The events could not be taken", failure);
    } finally {
      transaction.close();
    }
  }
}

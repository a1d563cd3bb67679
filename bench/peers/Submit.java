import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.GlobalConfiguration;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;

/** {@code Submit CONFIGURATION_FOLDER SQL_FILE}: runs the file's statements on a cluster and prints the ids of the jobs. */
public class Submit {
    public static void main(String[] arguments) throws Exception {
        Configuration configuration = GlobalConfiguration.loadConfiguration(arguments[0]);
        configuration.setString("execution.target", "remote");
        EnvironmentSettings settings =
                EnvironmentSettings.newInstance().inStreamingMode().withConfiguration(configuration).build();
        TableEnvironment environment = TableEnvironment.create(settings);
        for (String statement : Files.readString(Path.of(arguments[1])).split(";")) {
            if (!statement.isBlank()) {
                environment.executeSql(statement).getJobClient().ifPresent(job -> System.out.println(job.getJobID()));
            }
        }
    }
}
